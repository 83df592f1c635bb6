"""Samplers by name: who proposes the next configuration; one file each.

A file offers `sampler(distributions, *, seed, constrained, …)`. Its further keyword parameters are
the options that a study may set; each has its default in sight and is recorded, so that results do
not shift when Optuna changes a default. A sampler for one objective alone says so by
`SEVERAL_OBJECTIVES = False`.
"""

from collections.abc import Mapping
from typing import Annotated, Protocol

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from pydantic import Field

Distributions = Mapping[str, BaseDistribution]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Sampler(Protocol):
    """What a file of this folder offers, options aside."""

    def sampler(self, distributions: Distributions, *, seed: int, constrained: bool) -> BaseSampler:
        """An Optuna sampler for these distributions."""
