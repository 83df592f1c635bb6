"""Full-fidelity trials with any Optuna sampler; the baselines first, and always in the race."""

from optuna.distributions import FloatDistribution

from autolora.space.space import Space
from autolora.strategies import Arm, Baselines

HEAD_ONLY = "head only"


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


def learning_rates(space: Space, count: int) -> tuple[float, ...]:
    """The middles of `count` equal parts of the logarithmic range."""
    domain = space.distributions["learning_rate"]
    assert isinstance(domain, FloatDistribution)
    ratio = domain.high / domain.low
    return tuple(domain.low * ratio ** ((i + 0.5) / count) for i in range(count))
