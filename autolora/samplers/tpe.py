"""Tree-structured Parzen estimator. Source: Bergstra et al. 2011; Watanabe 2023."""

from optuna.samplers import BaseSampler, TPESampler

from autolora.samplers import Count, Distributions


def sampler(  # noqa: PLR0913 — one option each
    distributions: Distributions,
    *,
    seed: int,
    constrained: bool,
    startup_trials: Count = 10,
    candidates: Count = 24,
    multivariate: bool = True,
    constant_liar: bool = True,
) -> BaseSampler:
    """Optuna's TPE; running trials count as bad ones, so that workers do not meet."""
    del distributions, constrained
    return TPESampler(
        n_startup_trials=startup_trials,
        n_ei_candidates=candidates,
        multivariate=multivariate,
        group=False,
        constant_liar=constant_liar,
        seed=seed,
    )
