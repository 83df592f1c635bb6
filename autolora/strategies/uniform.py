"""The honest sweep: every uniform rank within the budget at the same learning rates, no search."""

from dataclasses import replace

from autolora.space.space import Space
from autolora.spending.opening import Arm, Baselines, largest_uniform_rank, opening

SAMPLES = False


def arms(space: Space, baselines: Baselines, budget_parameters: int | None) -> tuple[Arm, ...]:
    """The head alone, the ranks that are asked for, and 1, 2, 4, … up to what the budget holds."""
    highest = max(space.most_ranks.values())
    if budget_parameters is not None:
        highest = min(highest, largest_uniform_rank(space, budget_parameters))
    ranks = {1 << k for k in range(highest.bit_length())}
    asked = replace(baselines, uniform_ranks=tuple(sorted(ranks | set(baselines.uniform_ranks))))
    return opening(space, asked, budget_parameters)
