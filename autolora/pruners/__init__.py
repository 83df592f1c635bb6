"""Pruners by name: which trials are stopped early; one file each.

A file offers `pruner(*, evaluations, …)`; its further keyword parameters are the options that a
study may set, all recorded. A trial reports its validation loss at evaluations 1, 2, …,
`evaluations`.
"""

from typing import Annotated, Protocol

from optuna.pruners import BasePruner
from pydantic import Field

Count = Annotated[int, Field(ge=1)]
CountFrom0 = Annotated[int, Field(ge=0)]


class Pruner(Protocol):
    """What a file of this folder offers, options aside."""

    def pruner(self, *, evaluations: int) -> BasePruner:
        """An Optuna pruner for trials of so many evaluations."""
