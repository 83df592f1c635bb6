"""Strategies by name: how a budget of compute is spent; one file each.

A strategy offers `opening(space, baselines, budget_parameters) -> tuple[Arm, ...]`: what is in the
race before the sampler proposes anything.
"""

from dataclasses import dataclass
from typing import Protocol

from autolora.lora.allocation import Allocation
from autolora.space.space import Space


@dataclass(frozen=True)
class Arm:
    """One line of the race at one learning rate."""

    name: str
    uniform_rank: int
    allocation: Allocation
    learning_rate: float


@dataclass(frozen=True)
class Baselines:
    """Which uniform ranks run beside the search, each at how many learning rates."""

    uniform_ranks: tuple[int, ...]
    learning_rates: int


class Strategy(Protocol):
    """What a file of this folder offers."""

    def opening(
        self, space: Space, baselines: Baselines, budget_parameters: int | None
    ) -> tuple[Arm, ...]:
        """The arms that open the race."""
