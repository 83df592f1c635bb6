"""Successive halving, asynchronously. Source: Li et al. 2020 (ASHA)."""

from optuna.pruners import BasePruner, SuccessiveHalvingPruner


def pruner(*, evaluations: int, first_rung: int = 2, reduction: int = 2) -> BasePruner:
    """Optuna's ASHA: at evaluations `first_rung` · `reduction`ᵏ the best 1 / `reduction` go on."""
    del evaluations
    return SuccessiveHalvingPruner(
        min_resource=first_rung,
        reduction_factor=reduction,
        min_early_stopping_rate=0,
        bootstrap_count=0,
    )
