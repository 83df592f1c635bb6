"""Stops a trial whose best loss so far is worse than the median of earlier ones at that point."""

from optuna.pruners import BasePruner, MedianPruner

from autolora.pruners import ByLoss, Count, CountFrom0


def pruner(
    *,
    evaluations: int,
    startup_trials: CountFrom0 = 5,
    warmup: CountFrom0 = 2,
    minimum_trials: Count = 3,
) -> BasePruner:
    """Optuna's median pruner; `warmup` evaluations of each trial are never pruned."""
    del evaluations
    rule = MedianPruner(
        n_startup_trials=startup_trials,
        n_warmup_steps=warmup + 1,  # Optuna prunes from this step on, and steps count from 1
        interval_steps=1,
        n_min_trials=minimum_trials,
    )
    return ByLoss(rule)
