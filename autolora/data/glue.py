"""The files of GLUE as tables: lines of columns between tabs, read without any quoting."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from autolora.data.table import Table

Rows = list[tuple[str, ...]]


def rows(path: Path, columns: Sequence[int], *, header: bool) -> Rows:
    """Some columns of every line of a file."""
    lines = path.read_text(encoding="utf-8").splitlines()[header:]
    cells = [line.split("\t") for line in lines]
    return [tuple(cell[column].strip() for column in columns) for cell in cells]


def named(read: Rows, labels: Mapping[str, str]) -> Rows:
    """The rows with their last column, a number, named."""
    return [(*row[:-1], labels[row[-1]]) for row in read]


def disjoint(splits: Mapping[str, Rows], roles: Sequence[str], source: str) -> dict[str, Table]:
    """Tables without overlap: what is in test leaves valid, and what is in either leaves train.

    A row is the same as another where all but its last column, the answer, are equal.
    """
    measured: set[tuple[str, ...]] = set()
    tables = {}
    for name in ("test", "valid", "train"):
        kept = [row for row in splits[name] if row[:-1] not in measured]
        measured |= {row[:-1] for row in kept}
        values = zip(*kept, strict=True)
        tables[name] = Table(dict(zip(roles, map(list, values), strict=True)), source)
    return {name: tables[name] for name in ("train", "valid", "test")}
