"""The share of labels that are right."""

from autolora.metrics import labels
from autolora.training.answers import Answers

DIRECTION = "maximize"
OF = ("labels", "pixels")


def metric(answers: Answers) -> float:
    """The share of labels that are right; where an example has several, of all of them."""
    from torchmetrics.functional import accuracy

    predicted, expected, kind = labels(answers)
    return accuracy(predicted, expected, **kind).item()
