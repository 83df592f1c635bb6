"""How many triplets live at each step, and which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from autolora.spending.filling import Rank, fitting

Unit = Literal["ranks", "parameters"]
Live = dict[str, Tensor]  # for each target (rank,) of bool


@dataclass(frozen=True)
class Cubic:
    """The budget over a run: the first for a while, then down by a cubic, then the last.

    Source: Zhang et al. 2023 (AdaLoRA), equation 12.

    >>> cubic = Cubic(first=30, last=20, warm=10, settle=10, steps=40)
    >>> [cubic.at(step) for step in (0, 10, 15, 20, 30, 40)]
    [30, 30, 24, 21, 20, 20]
    """

    first: int
    last: int
    warm: int
    settle: int
    steps: int

    def at(self, step: int) -> int:
        """The budget after a step, counted from 1; rounded down, as in the authors' code."""
        if step <= self.warm:
            return self.first
        if step >= self.settled:
            return self.last
        gone = (step - self.warm) / (self.settled - self.warm)
        return int(self.last + (self.first - self.last) * (1 - gone) ** 3)

    @property
    def settled(self) -> int:
        """The step from which the last budget holds."""
        return max(self.warm, self.steps - self.settle)


@dataclass(frozen=True)
class Keeping:
    """What decides which triplets live.

    Attributes:
        unit: What the schedule counts.
        costs: The parameters of one triplet of each target as it is handed over: rows + columns.
        ranks: How many ranks the last budget has, where ranks are counted.
        parameters: What the adapter may have at the end, whatever the schedule counts.
    """

    unit: Unit
    costs: Mapping[str, int]
    ranks: int
    parameters: int

    def within(self, scores: Mapping[str, Tensor], budget: int) -> Live:
        """The most important triplets within a budget of the schedule."""
        order = _ordered(scores)
        taken = order[:budget] if self.unit == "ranks" else fitting(order, self.costs, budget)
        return _live(scores, taken)

    def finally_(self, scores: Mapping[str, Tensor]) -> Live:
        """Those that are handed over: they keep the parameters, and fill them.

        Where ranks are counted, the most important ones of that number; of those the least
        important leave until the parameters hold, and the next best that fit come in.
        """
        order = _ordered(scores)
        first = order[: self.ranks] if self.unit == "ranks" else []
        while sum(self.costs[name] for name, _ in first) > self.parameters:
            first.pop()
        rest = order[len(first) :]
        return _live(scores, fitting([*first, *rest], self.costs, self.parameters))


def _ordered(scores: Mapping[str, Tensor]) -> list[Rank]:
    """Every triplet, the most important first; of equals, the first ranks of all targets."""
    every = [
        (-score, which, name)
        for name, values in scores.items()
        for which, score in enumerate(values.tolist())
    ]
    return [(name, which) for _, which, name in sorted(every)]


def _live(scores: Mapping[str, Tensor], taken: list[Rank]) -> Live:
    live = {name: torch.zeros(len(values), dtype=torch.bool) for name, values in scores.items()}
    for name, which in taken:
        live[name][which] = True
    return live
