"""Splits that somebody made are kept apart: what lies in two of them is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from autolora.data.table import Table
from autolora.errors import GroupsOverlap, NoExamples, SplitsOverlap


@dataclass(frozen=True)
class Given:
    """The table of a split with what its rows hold.

    Attributes:
        table: Its columns are roles.
        inputs: A digest of what a model reads, for each row.
        rows: A digest of everything, for each row.
    """

    table: Table
    inputs: Sequence[bytes]
    rows: Sequence[bytes]

    def take(self, indices: Sequence[int]) -> "Given":
        """Some of the rows."""
        inputs, rows = ([values[i] for i in indices] for values in (self.inputs, self.rows))
        return Given(self.table.take(indices), inputs, rows)


def kept_apart(splits: Mapping[str, Given], *, drop: bool) -> dict[str, Given]:
    """Splits of which no example and no group is in two.

    Args:
        splits: In the order train, valid, test.
        drop: Whether examples of an earlier split that are in a later one are dropped from it.

    Raises:
        SplitsOverlap: if two splits have equal examples and they are not dropped.
        GroupsOverlap: if two splits have a group in common.
        NoExamples: if nothing is left of a split.
    """
    apart = dict(splits)
    for first, second in combinations(splits, 2):
        theirs = {content: i for i, content in reversed(list(enumerate(splits[second].inputs)))}
        mine = apart[first].inputs
        common = [index for index, content in enumerate(mine) if content in theirs]
        if common and not drop:
            example = apart[first].table, splits[second].table
            here, there = common[0], theirs[mine[common[0]]]
            places = (example[0].place(here), example[1].place(there))
            raise SplitsOverlap(first, second, len(common), places)
        if common:
            dropped = set(common)
            apart[first] = apart[first].take([i for i in range(len(mine)) if i not in dropped])
        if not apart[first].rows:
            raise NoExamples(f"{first}, without what is in {second} too,")
    for first, second in combinations(apart, 2):
        _groups_apart(first, apart[first].table, second, apart[second].table)
    return apart


def _groups_apart(first: str, mine: Table, second: str, theirs: Table) -> None:
    groups = mine.columns.get("group", ())
    common = set(groups) & set(theirs.columns.get("group", ()))
    if common:
        raise GroupsOverlap(first, second, len(common), next(g for g in groups if g in common))
