"""Training and evaluation modes in which no statistic of the base ever moves."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def train(model: nn.Module) -> nn.Module:
    """Training mode, but for layers that would update running statistics: they stay frozen.

    An adapter must give back the base as it was, and batches of a fine-tune are small.
    """
    model.train()
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            module.eval()
    return model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode without gradients; every module has its own mode back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield model
    finally:
        for module, training in modes:
            module.training = training
