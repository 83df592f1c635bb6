"""Matthews' correlation of predicted and expected classes: 0 is chance, 1 is right."""

from autolora.metrics import constant, labels
from autolora.training.answers import Answers

DIRECTION = "maximize"
OF = ("labels", "pixels")


def metric(answers: Answers) -> float:
    """The correlation; 0 where one class alone is predicted or expected.

    There torchmetrics gives another number than 0 for two classes, up to 0.6 from it.
    """
    from torchmetrics.functional import matthews_corrcoef

    predicted, expected, kind = labels(answers)
    if constant(predicted) or constant(expected):
        return 0.0
    return matthews_corrcoef(predicted, expected, **kind).item()
