"""Macro F1: precision and recall in one number, every class counts the same."""

from autolora.metrics import labels
from autolora.training.answers import Answers

DIRECTION = "maximize"
OF = ("labels", "pixels")


def metric(answers: Answers) -> float:
    """The mean over classes of F1; a class that is neither predicted nor expected is left out."""
    from torchmetrics.functional import f1_score

    predicted, expected, kind = labels(answers)
    return f1_score(predicted, expected, average="macro", **kind).item()
