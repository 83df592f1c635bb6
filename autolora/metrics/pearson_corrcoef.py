"""Pearson's correlation of predicted and expected numbers."""

from autolora.metrics import constant, numbers
from autolora.training.answers import Answers

DIRECTION = "maximize"
OF = ("numbers",)


def metric(answers: Answers) -> float:
    """The correlation; 0 where either side is constant."""
    from torchmetrics.functional import pearson_corrcoef

    predicted, expected = numbers(answers)
    if constant(predicted) or constant(expected):
        return 0.0
    return pearson_corrcoef(predicted, expected).item()
