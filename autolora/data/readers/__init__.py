"""Readers by name: how files become tables; one file each.

A file offers `SUFFIXES`, what it reads as people write it; `reads(where)`, whether it reads what
stands at a place; and `read(where)`, one table, or one for each split that the place holds.
"""

from collections.abc import Mapping
from typing import Protocol

from autolora.data.table import Table


class Reader(Protocol):
    """What a file of this folder offers."""

    SUFFIXES: tuple[str, ...]

    def reads(self, where: str) -> bool:
        """Whether this is its kind of place; nothing is opened."""

    def read(self, where: str) -> Table | Mapping[str, Table]:
        """The rows, in stored order; splits are called train, valid and test."""
