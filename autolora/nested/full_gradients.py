"""The gradient of the loss with respect to whole frozen weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autolora.lora import layout
from autolora.lora.targets import Target
from autolora.nested.base import base, batches
from autolora.spending.work import Work
from autolora.training.device import moved, precise


@dataclass(frozen=True)
class Gradients:
    """The mean gradient of every target over some batches, and the weight that it belongs to.

    Shapes: both (rows, columns) for each target, float32 on the CPU.
    """

    gradients: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    example_passes: int


def full_gradients(work: Work, targets: tuple[Target, ...], count: int) -> Gradients:
    """Gradients of the base, a forward and a backward for each example of `count` batches.

    A target without a gradient has zeros. The batches count alike, as the steps of a run do.
    """
    model, passes = base(work)
    keys = {name: (t.layer, t.parameter) for name, t in ((t.name, t) for t in targets)}
    leaves = {key: _leaf(model, *key) for key in keys.values()}
    total = {key: torch.zeros_like(leaf, dtype=torch.float32) for key, leaf in leaves.items()}
    shares = 0.0
    for found, share, examples in _slopes(work, model, list(leaves.values()), count):
        for key, slope in zip(leaves, found, strict=True):
            if slope is not None:
                total[key] += slope * share
        shares += share
        passes += 2 * examples
    mean = {key: value / shares for key, value in total.items()}
    return Gradients(
        {t.name: _block(mean[keys[t.name]], t) for t in targets},
        {t.name: _block(leaves[keys[t.name]].detach().float(), t) for t in targets},
        passes,
    )


def _slopes(
    work: Work, model: nn.Module, leaves: list[nn.Parameter], count: int
) -> Iterator[tuple[tuple[Any, ...], float, int]]:
    task, settings = work.terms.task, work.terms.settings
    device = leaves[0].device
    for batch, share, examples in batches(work, count):
        with torch.enable_grad(), precise(settings.precision, device):
            loss = task.loss(model, moved(batch, device))
            yield torch.autograd.grad(loss, leaves, allow_unused=True), share, examples


def _leaf(model: nn.Module, layer: str, parameter: str) -> nn.Parameter:
    found = model.get_submodule(layer).get_parameter(parameter)
    found.requires_grad_()
    return found


def _block(whole: Tensor, target: Target) -> Tensor:
    """The rows of a target in its parameter, as a matrix."""
    matrix = layout.matrix(whole, target.layout)
    return matrix[target.first_row : target.first_row + target.rows].cpu().clone()
