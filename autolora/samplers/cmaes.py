"""CMA-ES, an evolution strategy for numbers. Source: Hansen & Ostermeier 2001.

It knows no choices and no constraints. Ranks are integers here, and a parameter budget is kept by
lowering ranks, so neither stands in its way; a space that offers several scale rules does.
"""

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler

from autolora.errors import SamplerCannot
from autolora.samplers import Count, Distributions

SEVERAL_OBJECTIVES = False


def sampler(
    distributions: Distributions, *, seed: int, constrained: bool, startup_trials: Count = 4
) -> BaseSampler:
    """Optuna's CMA-ES.

    Raises:
        SamplerCannot: if the space holds a choice that is no number.
    """
    del constrained
    for name, domain in distributions.items():
        if isinstance(domain, CategoricalDistribution):
            raise SamplerCannot("cmaes", f'"{name}" is a choice among {list(domain.choices)}')
    return CmaEsSampler(
        n_startup_trials=startup_trials,
        independent_sampler=RandomSampler(seed=seed),
        warn_independent_sampling=False,
        seed=seed,
    )
