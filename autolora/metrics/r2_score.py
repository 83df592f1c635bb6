"""R²: the share of the variance of the expected numbers that the predicted ones explain."""

from autolora.metrics import constant, numbers
from autolora.training.answers import Answers

DIRECTION = "maximize"
OF = ("numbers",)


def metric(answers: Answers) -> float:
    """The share, negative for what is worse than the mean; 0 where nothing varies."""
    from torchmetrics.functional import r2_score

    predicted, expected = numbers(answers)
    if constant(expected):
        return 0.0
    return r2_score(predicted, expected).item()
