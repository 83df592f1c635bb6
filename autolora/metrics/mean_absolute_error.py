"""The mean distance of predicted and expected numbers."""

from autolora.metrics import numbers
from autolora.training.answers import Answers

DIRECTION = "minimize"
OF = ("numbers",)


def metric(answers: Answers) -> float:
    """The mean over examples."""
    from torchmetrics.functional import mean_absolute_error

    return mean_absolute_error(*numbers(answers)).item()
