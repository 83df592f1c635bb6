"""Runs whose factors start from other values than those that are drawn."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from autolora.lora.attach import Attached
from autolora.training.treatment import Plain, Treatment, Treats

Starts = Mapping[str, tuple[Tensor | None, Tensor]]


def starting_from(starts: Callable[[Attached], Starts]) -> Treats:
    """Plain runs whose factors are replaced once, before the first step.

    Args:
        starts: Called for every run that is trained, with the factors as they were drawn. It
            gives up and down of some targets: as many first ranks as there are; up stays zero
            where it is None.
    """

    def treats(attached: Attached, seed: int) -> Treatment:
        with torch.no_grad():
            for name, (up, down) in starts(attached).items():
                part, rank = attached.factors[name], len(down)
                part.down[:rank] = down.to(part.down)
                if up is not None:
                    part.up[:, :rank] = up.to(part.up)
        return Plain(attached, seed)

    return treats
