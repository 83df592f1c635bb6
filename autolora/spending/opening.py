"""What opens every race: the head alone, and uniform ranks at the learning rates of every arm."""

from dataclasses import dataclass

from autolora.lora.allocation import Allocation
from autolora.space.space import Space
from autolora.spending.rates import learning_rates

HEAD_ONLY = "head only"


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


def opening(space: Space, baselines: Baselines, budget_parameters: int | None) -> tuple[Arm, ...]:
    """The head alone, the uniform sweep, and the largest uniform allocation within the budget.

    Every arm gets the same learning rates, spread evenly (in the logarithm) over the range that
    the search itself may use.
    """
    ranks = set(baselines.uniform_ranks)
    if budget_parameters is not None:
        ranks.add(largest_uniform_rank(space, budget_parameters))
    rates = learning_rates(space, baselines.learning_rates)
    return tuple(
        Arm(f"uniform {rank}" if rank else HEAD_ONLY, rank, space.uniform(rank), rate)
        for rank in sorted(ranks | {0})
        for rate in rates
    )


def largest_uniform_rank(space: Space, budget_parameters: int) -> int:
    """The highest rank whose uniform allocation keeps the budget; 0 if none does."""
    rank = 0
    highest = max(target.max_rank for target in space.targets)
    while rank < highest and space.uniform(rank + 1).parameters(space.targets) <= budget_parameters:
        rank += 1
    return rank
