"""About ten numbers that decide an allocation: trust in scores, offsets of families, depth."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from autolora.nested.candidates import Room
from autolora.nested.room import filled
from autolora.nested.scores import Scores, gains

TRUST, LINEAR, QUADRATIC = "trust", "depth, linear", "depth, quadratic"
_LEAST = 1e-3  # of the even worth of a rank: what a rank of no score is worth

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Profile:
    """What numbers mean: they bend the worth of ranks, which a knapsack turns into an allocation.

    The logarithm of what the i-th rank of a target is worth is that of an even worth, 1/i for each
    of its parameters, by `trust` moved towards that of its score (0 leaves it, 1 is the score),
    plus the offset of its family, plus a line and a parabola in its depth.

    Attributes:
        room: What an allocation may be.
        scores: What the ranks of every target are worth, before anything is bent.
    """

    room: Room
    scores: Scores

    @cached_property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The numbers by name, and between what each may lie.

        The first family has no offset: to raise all families alike changes nothing.
        """
        offsets = [f"offset, {family}" for family in list(self.room.families)[1:]]
        depth = [LINEAR, QUADRATIC] if len(set(self._depths.values())) > 1 else []
        return {TRUST: (0.0, 1.5), **dict.fromkeys((*offsets, *depth), (-2.0, 2.0))}

    @property
    def uniform(self) -> dict[str, float]:
        """The numbers that mean uniform ranks."""
        return dict.fromkeys(self.bounds, 0.0)

    @property
    def scored(self) -> dict[str, float]:
        """The numbers that mean the scores as they are."""
        return {**self.uniform, TRUST: 1.0}

    def ranks(self, numbers: Numbers) -> dict[str, int]:
        """The allocation of some numbers: it fills the budget.

        With all of them at zero that is the uniform one, and what is left goes to the first
        targets that it fits.
        """
        if not any(numbers.values()):
            return filled(self.room, self.room.even(self.room.most))
        return filled(self.room, self.room.best(gains(self.worths(numbers))))

    def worths(self, numbers: Numbers) -> Scores:
        """What the ranks of every target are worth.

        Shapes: for each target (highest rank,).
        """
        trust = numbers[TRUST]
        return {
            name: (even * (self._shares[name] / even) ** trust) * self._factor(name, numbers)
            for name, even in self._even.items()
        }

    def _factor(self, name: str, numbers: Numbers) -> float:
        depth = self._depths[name]
        family = next((f for f, names in self.room.families.items() if name in names), "")
        bent = numbers.get(f"offset, {family}", 0.0) + numbers.get(LINEAR, 0.0) * depth
        # The second Legendre polynomial: over even depths it is no line and no offset.
        bent += numbers.get(QUADRATIC, 0.0) * (3 * depth**2 - 1) / 2
        return float(torch.tensor(bent, dtype=torch.float64).exp())

    @cached_property
    def _depths(self) -> dict[str, float]:
        """The depth of every target, from -1 for the first to 1 for the last."""
        depths = {target.name: target.depth for target in self.room.targets}
        low, high = min(depths.values()), max(depths.values())
        return {n: 2 * (d - low) / max(1, high - low) - 1 for n, d in depths.items()}

    @cached_property
    def _even(self) -> dict[str, Tensor]:
        """Shares of an even worth, all of them together 1."""
        costs = self.room.costs
        even = {
            n: costs[n] / torch.arange(1, len(s) + 1, dtype=torch.float64)
            for n, s in self.scores.items()
        }
        whole = sum(float(each.sum()) for each in even.values())
        return {name: each / whole for name, each in even.items()}

    @cached_property
    def _shares(self) -> dict[str, Tensor]:
        """Shares of the scores, all of them together about 1; none is zero."""
        positive = {name: score.double().clamp_min(0) for name, score in self.scores.items()}
        whole = sum(float(each.sum()) for each in positive.values()) or 1.0
        return {
            name: torch.maximum(each / whole, _LEAST * self._even[name])
            for name, each in positive.items()
        }
