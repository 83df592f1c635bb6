"""A Gaussian process: the most sample-efficient, at seconds a proposal.

Source: Jones et al. 1998 (expected improvement), in Optuna's implementation.
"""

from optuna.samplers import BaseSampler, GPSampler, RandomSampler

from autolora.samplers import Count, Distributions


def sampler(
    distributions: Distributions, *, seed: int, constrained: bool, startup_trials: Count = 10
) -> BaseSampler:
    """Optuna's GP sampler; it reads the constraint of a trial by itself."""
    del distributions, constrained
    return GPSampler(
        seed=seed,
        independent_sampler=RandomSampler(seed=seed),
        n_startup_trials=startup_trials,
        deterministic_objective=False,
        warn_independent_sampling=False,
    )
