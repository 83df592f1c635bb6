"""Successive halving, asynchronously. Source: Li et al. 2020 (ASHA)."""

from typing import Annotated

from optuna.pruners import BasePruner, SuccessiveHalvingPruner
from pydantic import Field

from autolora.pruners import ByLoss, Count

Factor = Annotated[int, Field(ge=2)]


def pruner(*, evaluations: int, first_rung: Count = 2, reduction: Factor = 2) -> BasePruner:
    """Optuna's ASHA: at evaluations `first_rung` · `reduction`ᵏ the best 1 / `reduction` go on."""
    del evaluations
    rule = SuccessiveHalvingPruner(
        min_resource=first_rung,
        reduction_factor=reduction,
        min_early_stopping_rate=0,
        bootstrap_count=0,
    )
    return ByLoss(rule)
