"""Rows of named columns: what every reader of the user's data gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Table:
    """Named columns of equal length, in plain Python values; files are named by paths.

    Attributes:
        columns: The values of each column.
        source: What messages call the table: a file, a folder, a name.
        folder: What relative paths in it are relative to.
        numbers: Where each row stands in the source; 1, 2, … unless given.
        unit: What the numbers count.
    """

    columns: Mapping[str, Sequence[Any]]
    source: str
    folder: Path | None = None
    numbers: Sequence[int] | None = None
    unit: Literal["row", "line"] = "row"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, indices: Sequence[int]) -> "Table":
        """Some of the rows, in the order of their indices; each knows where it stood."""
        picked = {name: [values[i] for i in indices] for name, values in self.columns.items()}
        return replace(self, columns=picked, numbers=[self._number(i) for i in indices])

    def place(self, index: int) -> str:
        """Where a row stands, as messages say it.

        >>> Table({"text": ["a", "b", "c"]}, "notes.csv").take([2]).place(0)
        'row 3 of notes.csv'
        """
        return f"{self.unit} {self._number(index)} of {self.source}"

    def _number(self, index: int) -> int:
        return index + 1 if self.numbers is None else self.numbers[index]
