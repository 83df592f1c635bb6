"""What a run costs, known before it starts.

A forward of an example is 1 example-pass and a backward 1, so a training step of b examples costs
2 b; an evaluation costs 1 for each example of the validation split.
"""

from autolora.training.settings import TrainingSettings
from autolora.training.task import Task


def run_passes(task: Task, batch_size: int, steps: int, evaluations: int) -> int:
    """The example-passes of a run; the last batch of a pass over the data may be smaller."""
    return 2 * trained_examples(task, batch_size, steps) + evaluations * task.examples("valid")


def fine_tune(task: Task, settings: TrainingSettings) -> int:
    """The example-passes of one run with these settings: one fine-tune (FT)."""
    return run_passes(task, settings.batch_size, settings.steps, settings.evaluations)


def trained_examples(task: Task, batch_size: int, steps: int) -> int:
    """How many examples the steps of a run take."""
    examples = task.examples("train")
    passes, rest = divmod(steps, -(-examples // batch_size))
    return passes * examples + min(rest * batch_size, examples)
