"""Training and evaluation modes in which no statistic of the base ever moves."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

# What torch's and transformers' layers call a rate that they hand to a function.
_RATES = ("dropout", "dropout_prob", "attention_dropout", "activation_dropout", "drop_prob")


def train(model: nn.Module) -> nn.Module:
    """Training mode, but for layers that would update running statistics: they stay frozen.

    An adapter must give back the base as it was, and batches of a fine-tune are small.
    """
    model.train()
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            module.eval()
    return model


def without_dropout(model: nn.Module, *, but: Collection[str]) -> nn.Module:
    """Sets the dropout of a base to zero, outside the modules that `but` names.

    Layers that hold the rate as a number under one of the usual names (attention) are among them.
    """
    for name, module in model.named_modules():
        if any(f"{name}.".startswith(f"{head}.") for head in but):
            continue
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for rate in _RATES:
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, 0.0)
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
