"""Training a high rank so that every lower one is trained with it: two ways of nesting."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from autolora.lora.attach import Attached
from autolora.nested.seen import Shown, shown
from autolora.training.seeds import derived

_PREFIX = 7  # the purpose of a derived seed
OFF = 0.1  # how often a target is left out, so that rank 0 has been trained too


def powers(rank: int) -> tuple[int, ...]:
    """1, 2, 4, … up to a rank, and the rank itself.

    >>> powers(12)
    (1, 2, 4, 8, 12)
    """
    return (*(1 << k for k in range((rank - 1).bit_length())), rank)


class Prefixes:
    """Every step trains a random prefix of the ranks of every target; one forward a step.

    Source: Munoz et al. 2024 (LoNAS, NLS), one path a step; rank 0 at probability 0.1 is added.
    """

    def __init__(self, attached: Attached, seed: int) -> None:
        self.attached, self._seed = attached, seed
        self._leaves = {n: (p.up, p.down) for n, p in attached.factors.items()}

    def parameters(self) -> Iterator[nn.Parameter]:
        """The whole factors, and the head."""
        return self.attached.parameters()

    def training(self, step: int) -> AbstractContextManager[Any]:
        """A prefix of each target, drawn from the seed and the step."""
        generator = torch.Generator().manual_seed(derived(self._seed, _PREFIX, step))
        return shown(self.attached, self._drawn(generator))

    def evaluating(self) -> AbstractContextManager[Any]:
        """All ranks."""
        return nullcontext()

    def penalty(self) -> Tensor | None:
        """None."""
        return None

    def updated(self, step: int) -> None:
        """Nothing more."""

    def finish(self) -> None:
        """The factors are prefixes as they are."""

    def _drawn(self, generator: torch.Generator) -> Mapping[str, Shown]:
        found: dict[str, Shown] = {}
        for name, (up, down) in self._leaves.items():
            offered = powers(up.shape[1])
            off, which = torch.rand(2, generator=generator).tolist()
            rank = offered[int(which * len(offered))]
            found[name] = None if off < OFF else (up[:, :rank], down[:rank])
        return found


class Weighted:
    """Rank i is weighted by how many of the prefixes 1, 2, 4, … hold it; one forward a step.

    Source: MatryoshkaLoRA (2605.07850), the fixed diagonal between the factors.
    """

    def __init__(self, attached: Attached, seed: int) -> None:
        del seed
        self.attached = attached
        self._weights = {n: _weights(p.rank, p.down) for n, p in attached.factors.items()}

    def parameters(self) -> Iterator[nn.Parameter]:
        """The whole factors, and the head."""
        return self.attached.parameters()

    def training(self, step: int) -> AbstractContextManager[Any]:
        """The factors with the weights between them."""
        del step
        return self.evaluating()

    def evaluating(self) -> AbstractContextManager[Any]:
        """The factors with the weights between them."""
        parts = self.attached.factors
        weighted = {n: (p.up, p.down * self._weights[n][:, None]) for n, p in parts.items()}
        return shown(self.attached, weighted)

    def penalty(self) -> Tensor | None:
        """None."""
        return None

    def updated(self, step: int) -> None:
        """Nothing more."""

    @torch.no_grad()
    def finish(self) -> None:
        """The weights become part of `down`."""
        for name, part in self.attached.factors.items():
            part.down.mul_(self._weights[name][:, None])


def _weights(rank: int, like: Tensor) -> Tensor:
    """Shapes: (rank,)."""
    prefixes = powers(rank)
    counts = [sum(prefix > i for prefix in prefixes) / len(prefixes) for i in range(rank)]
    return torch.tensor(counts, dtype=like.dtype, device=like.device)
