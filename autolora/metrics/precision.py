"""Macro precision: how often a predicted class is right, every class counts the same."""

from autolora.metrics import labels
from autolora.training.answers import Answers

DIRECTION = "maximize"
OF = ("labels", "pixels")


def metric(answers: Answers) -> float:
    """The mean over classes; a class that is neither predicted nor expected is left out."""
    from torchmetrics.functional import precision

    predicted, expected, kind = labels(answers)
    return precision(predicted, expected, average="macro", **kind).item()
