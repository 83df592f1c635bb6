"""How many trials and example-passes each part of a study takes, and about how long."""

from dataclasses import dataclass

from autolora import strategies
from autolora.registry import load
from autolora.strategies import Arm, Baselines, Strategy
from autolora.study.race import SEARCH
from autolora.study.session import Session
from autolora.study.timing import Timing
from autolora.training.settings import TrainingSettings
from autolora.training.task import Task


@dataclass(frozen=True)
class Phase:
    """A part of a study; None where the clock alone ends it.

    `exact` tells counts that will be so from counts that are the most there can be.

    Units: `seconds` are those of one worker alone.
    """

    name: str
    trials: int | None
    example_passes: int | None
    exact: bool
    seconds: float


@dataclass(frozen=True)
class Run:
    """What one run costs that is not stopped early."""

    example_passes: int
    seconds: float

    @classmethod
    def of(cls, task: Task, settings: TrainingSettings, timing: Timing) -> "Run":
        """A run's cost, from counts and seconds an example."""
        trained, evaluated = trained_examples(task, settings), evaluated_examples(task, settings)
        seconds = trained * timing.trained + evaluated * timing.evaluated
        return cls(2 * trained + evaluated, seconds)


def trained_examples(task: Task, settings: TrainingSettings) -> int:
    """How many examples the steps of a run take; the last batch of a pass may be smaller."""
    examples, size = task.examples("train"), settings.batch_size
    passes, steps = divmod(settings.steps, -(-examples // size))
    return passes * examples + min(steps * size, examples)


def evaluated_examples(task: Task, settings: TrainingSettings) -> int:
    """How many examples the evaluations of a run take."""
    return settings.evaluations * task.examples("valid")


def arms_of(session: Session) -> tuple[Arm, ...]:
    """The arms that open the race of a study."""
    strategy: Strategy = load(strategies, session.spec.strategy)
    given = session.spec.baselines
    baselines = Baselines(tuple(given.uniform_ranks), given.learning_rates)
    return strategy.opening(session.space, baselines, session.budget_parameters)


def phases(session: Session, arms: tuple[Arm, ...], timing: Timing) -> tuple[Phase, ...]:
    """The opening, the search and the confirmation of a study."""
    run = Run.of(session.task, session.spec.training, timing)
    first = _opening(session, arms, run)
    confirmation = _confirmation(session, len({arm.name for arm in arms} | {SEARCH}), run, timing)
    return first, _search(session, first, run), confirmation


def _opening(session: Session, arms: tuple[Arm, ...], run: Run) -> Phase:
    """Equal proposals are trained once."""
    proposals = [session.space.fixed(arm.allocation, arm.learning_rate) for arm in arms]
    runs = len({each.digest(session.context) for each in proposals})
    exact = _at_full_price(session.spec.training)
    return Phase("opening", len(arms), runs * run.example_passes, exact, runs * run.seconds)


def _search(session: Session, first: Phase, run: Run) -> Phase:
    """The most: pruned trials cost less, and what was trained before costs nothing."""
    budget, workers = session.spec.budget, session.spec.backend.workers
    runs = [] if budget.trials is None else [float(budget.trials)]
    for limit, before, each in (
        (budget.example_passes, first.example_passes or 0, run.example_passes),
        (budget.seconds, first.seconds, run.seconds),
    ):
        if limit is not None:
            # The last runs begin while the sum is below the limit, one in each worker.
            runs.append(max(0.0, (limit - before) / each + workers) if limit > before else 0.0)
    counted = budget.trials is not None or budget.example_passes is not None
    most = min(runs[:-1] if budget.seconds is not None and counted else runs)
    passes = int(most * run.example_passes) if counted else None
    return Phase("search", budget.trials, passes, exact=False, seconds=min(runs) * run.seconds)


def _confirmation(session: Session, arms: int, run: Run, timing: Timing) -> Phase:
    """Each arm on the test split at each seed; the adapters of the first seed were kept."""
    seeds = session.spec.confirm.seeds
    trained = arms * (seeds - 1)
    tested = arms * seeds * session.task.examples("test")
    return Phase(
        "confirmation",
        arms * seeds,
        trained * run.example_passes + tested,
        _at_full_price(session.spec.training),
        trained * run.seconds + tested * timing.measured,
    )


def _at_full_price(training: TrainingSettings) -> bool:
    """Whether a run that is not pruned takes every step, none of it from kept activations."""
    plain = training.cache_bytes == 0 and training.head_start == "random"
    return plain and training.patience is None
