"""Stops a trial whose best loss so far is worse than the median of earlier ones at that point."""

from optuna.pruners import BasePruner, MedianPruner


def pruner(
    *, evaluations: int, startup_trials: int = 5, warmup: int = 2, minimum_trials: int = 3
) -> BasePruner:
    """Optuna's median pruner; `warmup` evaluations of each trial are never pruned."""
    del evaluations
    return MedianPruner(
        n_startup_trials=startup_trials,
        n_warmup_steps=warmup,
        interval_steps=1,
        n_min_trials=minimum_trials,
    )
