"""Independent uniform draws: the yardstick for every other sampler."""

from optuna.samplers import BaseSampler, RandomSampler

from autolora.samplers import Distributions


def sampler(distributions: Distributions, *, seed: int, constrained: bool) -> BaseSampler:
    """Optuna's random sampler."""
    del distributions, constrained
    return RandomSampler(seed=seed)
