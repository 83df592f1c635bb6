"""Mean intersection over union: how well the predicted areas of classes cover the expected ones."""

import torch
from torch import Tensor

from autolora.training.answers import Answers, Summed, ratio

DIRECTION = "maximize"
OF = ("pixels",)


def _of_images(answers: Answers) -> Tensor:
    """The sum over the classes of an image, and how many classes it has: (images, 2).

    From a table of counts, as torchmetrics' own `mean_iou` holds every pixel once a class.
    """
    from torchmetrics.functional.classification import multiclass_confusion_matrix as confusion

    pairs = zip(*answers.compared(), strict=True)
    classes = answers.classes
    assert classes is not None
    counts = [confusion(p, e, classes, validate_args=False) for p, e in pairs]
    return _covered(torch.stack(counts).double())


def _covered(counts: Tensor) -> Tensor:
    both = counts.diagonal(dim1=1, dim2=2)
    either = counts.sum(1) + counts.sum(2) - both
    return torch.stack(((both / either.clamp(min=1)).sum(1), (either > 0).sum(1).double()), 1)


metric = Summed(_of_images, ratio)
