"""Every trial runs to its end."""

from optuna.pruners import BasePruner, NopPruner


def pruner(*, evaluations: int) -> BasePruner:
    """Optuna's pruner that never prunes."""
    del evaluations
    return NopPruner()
