"""The user's data, opened: three disjoint splits whose columns are named by their roles."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autolora.data import contents, sources
from autolora.data.apart import Given, kept_apart
from autolora.data.columns import Roles, bound
from autolora.data.options import DataOptions
from autolora.data.splits import Pool, deal
from autolora.data.table import Table
from autolora.errors import NoExamples, OneClass, UnseenLabel

__all__ = ["Data", "Roles", "classes", "open_data"]

_SPLITS = ("train", "valid", "test")
_LABELS = ("label",)
_BINS = 10  # numbers are dealt in proportion by tenths of their order


@dataclass(frozen=True)
class Data:
    """Train, valid and test.

    Attributes:
        splits: A table each; its columns are the roles that the data have.
        identity: Plain data, equal where the contents and the splits are.
    """

    splits: Mapping[str, Table]
    identity: Any


def open_data(options: DataOptions, roles: Roles) -> Data:
    """The data that options name, checked, in three disjoint splits.

    Splits that are given are kept, or a part of each is drawn; others are dealt from train.

    Raises:
        UsageError: for the first thing in the options or the data that cannot be, with its place.
        DataUnreachable: if a data set of the hub cannot be had.
    """
    given = kept_apart(
        {name: _given(table, options, roles) for name, table in _tables(options).items()},
        drop=options.overlap == "drop",
    )
    splits: dict[str, Given] = {}
    for name, part in given.items():
        splits |= _dealt(name, part, options, [n for n in _SPLITS if n not in given])
    ordered = {name: splits[name] for name in _SPLITS}
    present = tuple(sorted(given["train"].table.columns))
    rows = {name: part.rows for name, part in ordered.items()}
    tables = {name: part.table for name, part in ordered.items()}
    return Data(tables, contents.identity(rows, present))


def classes(data: Data, role: str = "label") -> tuple[str, ...]:
    """The values of a role in train, sorted: as numbers where all are whole numbers.

    Raises:
        OneClass: if there is only one.
        UnseenLabel: if valid or test have one that train does not have.
    """
    train = data.splits["train"]
    several = [_several(value) for value in train.columns[role]]
    found = {label for labels in several for label in labels}
    if len(found | {None for labels in several if not labels}) < 2:
        raise OneClass(train.source, role, next(iter(found), ""))
    known = sorted(found, key=int) if all(map(_whole, found)) else sorted(found)
    for name in ("valid", "test"):
        table = data.splits[name]
        for index, value in enumerate(table.columns[role]):
            for label in _several(value):
                if label not in found:
                    raise UnseenLabel(table.place(index), name, label, known)
    return tuple(known)


def _tables(options: DataOptions) -> Mapping[str, Table]:
    if options.path is not None:
        found = sources.tables(options.path)
        return found if "train" in found else {"train": sources.table(options.path, "train")}
    named = {name: getattr(options, name) for name in _SPLITS}
    return {name: sources.table(where, name) for name, where in named.items() if where}


def _given(table: Table, options: DataOptions, roles: Roles) -> Given:
    if not len(table):
        raise NoExamples(table.source)
    made = bound(table, roles, options.columns, allow_empty=options.allow_empty)
    values = contents.digests(made)
    present = tuple(sorted(values))
    inputs = tuple(role for role in present if role not in (*roles.answers, "group"))
    return Given(made, contents.joined(values, inputs), contents.joined(values, present))


def _dealt(
    name: str, part: Given, options: DataOptions, missing: Sequence[str]
) -> dict[str, Given]:
    """A given split, or the part of it that is asked for; from train also what is not given."""
    sizes: dict[str, int | float | None] = {name: options.splits.size(name)}
    if name == "train":
        sizes |= {other: options.splits.made(other) for other in missing}
    if len(sizes) == 1 and sizes[name] is None:
        return {name: part}
    # A given split is apart from the others already: its groups need not stay together.
    groups = part.table.columns.get("group") if len(sizes) > 1 else None
    pool = Pool(_labels(part.table), part.inputs, groups)
    dealt = deal(pool, sizes, options.splits.seed)
    return {split: part.take(indices.tolist()) for split, indices in dealt.items()}


def _labels(table: Table) -> Sequence[Hashable]:
    """What is dealt in proportion: classes, or tenths where labels are numbers."""
    values = next((table.columns[role] for role in _LABELS if role in table.columns), None)
    if values is None:
        return [0] * len(table)
    if isinstance(values[0], float):
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        bins: list[int] = (ranks * _BINS // len(values)).tolist()
        return bins
    return values


def _several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _whole(label: str) -> bool:
    return label.removeprefix("-").isdecimal()
