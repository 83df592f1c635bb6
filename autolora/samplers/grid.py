"""Every combination once: over a space of one group, this is the uniform sweep."""

import math

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GridSampler

from autolora.errors import SamplerCannot
from autolora.samplers import Count, Distributions

_MOST = 1000


def sampler(
    distributions: Distributions, *, seed: int, constrained: bool, points: Count = 3
) -> BaseSampler:
    """Optuna's grid: all ranks and choices, and `points` values of each continuous range.

    Raises:
        SamplerCannot: if the grid has more than a thousand points.
    """
    del constrained
    grid = {name: _values(domain, points) for name, domain in distributions.items()}
    size = math.prod(len(values) for values in grid.values())
    if size > _MOST:
        raise SamplerCannot("grid", f"this space has {size:,} combinations, more than {_MOST:,}")
    return GridSampler(grid, seed=seed)


def _values(domain: BaseDistribution, points: int) -> list[int | float | str]:
    if isinstance(domain, IntDistribution):
        return list(range(domain.low, domain.high + 1))
    if isinstance(domain, CategoricalDistribution):
        return list(domain.choices)  # type: ignore[arg-type]
    assert isinstance(domain, FloatDistribution)
    ratio = domain.high / domain.low
    return [domain.low * ratio ** ((i + 0.5) / points) for i in range(points)]
