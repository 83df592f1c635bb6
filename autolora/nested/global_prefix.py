"""DyLoRA's factors: every step trains one random prefix of the ranks, the same at all targets."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from autolora.lora.attach import Attached
from autolora.lora.scale import ScaleRule
from autolora.nested.seen import Shown, shown
from autolora.training.seeds import derived

_PREFIX = 19  # the purpose of a derived seed


@dataclass(frozen=True)
class Prefixed:
    """What is trained and what is kept.

    Attributes:
        rule: Gives the scale from the rank that is shown, as in the paper: α / b.
        kept: The ranks that evaluations show and that are handed over.
        gradient: Whether a step trains its whole prefix, or the last rank of it alone.
    """

    rule: ScaleRule
    kept: Mapping[str, int]
    gradient: Literal["prefix", "last"]


class GlobalPrefix:
    """A step shows the first b ranks everywhere, b uniform from 1 to the highest rank.

    Source: Valipour et al. 2023 (DyLoRA), algorithm 1.
    """

    def __init__(self, attached: Attached, seed: int, prefixed: Prefixed) -> None:
        self.attached, self._seed, self._prefixed = attached, seed, prefixed
        self._leaves = {n: (p.up, p.down) for n, p in attached.factors.items()}
        self._highest = max((p.rank for p in attached.factors.values()), default=0)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The whole factors, and the head."""
        return self.attached.parameters()

    def drawn(self, step: int) -> int:
        """The prefix of a step."""
        return 1 + derived(self._seed, _PREFIX, step) % self._highest

    def training(self, step: int) -> AbstractContextManager[Any]:
        """The prefix of the step."""
        rank = self.drawn(step) if self._highest else 0
        only_last = self._prefixed.gradient == "last"
        ranks = {name: min(rank, up.shape[1]) for name, (up, _) in self._leaves.items()}
        return shown(self.attached, self._first(ranks, only_last=only_last))

    def evaluating(self) -> AbstractContextManager[Any]:
        """The ranks that are kept."""
        return shown(self.attached, self._first(self._prefixed.kept))

    def penalty(self) -> Tensor | None:
        """None."""
        return None

    def updated(self, step: int) -> None:
        """Nothing more."""

    @torch.no_grad()
    def finish(self) -> None:
        """Zeros beyond the kept ranks; their scale becomes part of `down`."""
        for name, (up, down) in self._leaves.items():
            rank = self._prefixed.kept.get(name, 0)
            up[:, rank:] = 0.0
            if rank:
                down.mul_(self._share(name, rank))

    def _first(self, ranks: Mapping[str, int], *, only_last: bool = False) -> dict[str, Shown]:
        found: dict[str, Shown] = {}
        for name, (up, down) in self._leaves.items():
            rank = ranks.get(name, 0)
            first = (up[:, :rank], down[:rank])
            if only_last:
                first = (
                    torch.cat((first[0][:, :-1].detach(), first[0][:, -1:]), 1),
                    torch.cat((first[1][:-1].detach(), first[1][-1:])),
                )
            found[name] = (first[0], first[1] * self._share(name, rank)) if rank else None
        return found

    def _share(self, name: str, rank: int) -> float:
        """What turns the scale that a target was attached with into that of a rank."""
        return self._prefixed.rule(rank) / self.attached.factors[name].scale
