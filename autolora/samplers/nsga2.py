"""NSGA-II, an evolution for several objectives. Source: Deb et al. 2002."""

from typing import Annotated

from optuna.samplers import BaseSampler, NSGAIISampler
from pydantic import Field

from autolora.samplers import Distributions, Share


def sampler(  # noqa: PLR0913 — one option each
    distributions: Distributions,
    *,
    seed: int,
    constrained: bool,
    population: Annotated[int, Field(ge=2)] = 12,
    crossover_probability: Share = 0.9,
    swapping_probability: Share = 0.5,
) -> BaseSampler:
    """Optuna's NSGA-II, with a population for studies of some dozen trials."""
    del distributions, constrained
    return NSGAIISampler(
        population_size=population,
        mutation_prob=None,
        crossover_prob=crossover_probability,
        swapping_prob=swapping_probability,
        seed=seed,
    )
