"""Weights of examples, so that rare classes count as much as frequent ones."""

import torch
from torch import Tensor


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """The weight of each example: how many there are, over those of its class, over the classes.

    The mean weight is 1. Source: King and Zeng 2001; "balanced" of scikit-learn.

    Shapes: labels (examples,) of int64; result (examples,).

    >>> class_weights(torch.tensor([0, 0, 0, 1]), 2).tolist()
    [0.6666666865348816, 0.6666666865348816, 0.6666666865348816, 2.0]
    """
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)
    return len(labels) / (classes * counts[labels].float())
