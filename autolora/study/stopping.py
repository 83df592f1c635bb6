"""Early stopping in studies of several objectives, where Optuna cannot prune."""

import statistics
from collections.abc import Iterable, Mapping

FEWEST = 4  # finished trials to compare with, before anything is stopped

Other = tuple[int, Mapping[int, float]]


def dominated(step: int, loss: float, parameters: int, others: Iterable[Other]) -> bool:
    """Whether a running trial may be stopped without loss to the Pareto front.

    It may if its validation loss at this step is worse than the median, at the same step, of the
    finished trials whose adapters are no larger: those are better and cheaper.

    Args:
        step: The training step of this evaluation.
        loss: The validation loss there, in nats.
        parameters: Adapter parameters of the running trial.
        others: For each finished trial its parameters and its losses by step.

    >>> smaller = [(10, {20: loss}) for loss in (0.1, 0.2, 0.3, 0.4)]
    >>> dominated(20, 0.5, 10, smaller), dominated(20, 0.5, 9, smaller)
    (True, False)
    """
    losses = [curve[step] for size, curve in others if size <= parameters and step in curve]
    return len(losses) >= FEWEST and loss > statistics.median(losses)
