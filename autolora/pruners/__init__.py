"""Pruners by name: which trials are stopped early; one file each.

A file offers `pruner(*, evaluations, …)`; its further keyword parameters are the options that a
study may set, all recorded. A trial reports its validation loss at evaluations 1, 2, …,
`evaluations`; a pruner that compares them does so `ByLoss`.
"""

from copy import copy
from typing import Annotated, Protocol

from optuna import Study
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from pydantic import Field

Count = Annotated[int, Field(ge=1)]
CountFrom0 = Annotated[int, Field(ge=0)]


class Pruner(Protocol):
    """What a file of this folder offers, options aside."""

    def pruner(self, *, evaluations: int) -> BasePruner:
        """An Optuna pruner for trials of so many evaluations."""


class ByLoss(BasePruner):
    """A pruner of Optuna's for which the lower reported number is the better, in any study.

    Optuna takes the direction of the study, which is that of its metric: where an accuracy is
    maximised, it would stop the trials of the lowest loss.
    """

    def __init__(self, rule: BasePruner) -> None:
        self._rule = rule

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to stop."""
        losses = copy(study)
        losses._directions = [StudyDirection.MINIMIZE]  # noqa: SLF001 — Optuna has no other door
        return self._rule.prune(losses, trial)
