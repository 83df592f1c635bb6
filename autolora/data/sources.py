"""What stands at a place, as tables: read by the reader of its kind, or a data set of ours."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

from autolora.data import readers, sets
from autolora.data.readers import Reader
from autolora.data.table import Table
from autolora.errors import NoSuchData, NoSuchSplit, UnknownFormat
from autolora.registry import load, names, nearest


def tables(where: str) -> Mapping[str, Table]:
    """The tables of a place by split; one table alone is called train.

    A name of ours comes first; a folder that is called the same is written ./NAME.

    Raises:
        NoSuchData: if nothing is there.
        UnknownFormat: if it is a file of another format.
        UsageError: what the reader finds wrong.
    """
    if where in names(sets):
        return _by_split(load(sets, where).tables())
    if not where.startswith("hub:") and not _exists(where):
        known = names(sets)
        raise NoSuchData(where, nearest(where, known) or known)
    for name in names(readers):
        reader = _reader(load(readers, name))
        if reader.reads(where):
            return _by_split(reader.read(where))
    raise UnknownFormat(where, (s for n in names(readers) for s in load(readers, n).SUFFIXES))


def table(where: str, split: str) -> Table:
    """The table of a place for one split: its only table, or the one of that split.

    Raises:
        NoSuchSplit: if the place has several tables and none for the split.
    """
    found = tables(where)
    if len(found) == 1:
        return next(iter(found.values()))
    if split not in found:
        raise NoSuchSplit(where, split, found)
    return found[split]


def _reader(module: ModuleType) -> Reader:
    return cast(Reader, module)


def _by_split(found: Table | Mapping[str, Table]) -> Mapping[str, Table]:
    return {"train": found} if isinstance(found, Table) else found


def _exists(where: str) -> bool:
    try:
        return bool(where) and Path(where).exists()
    except (OSError, ValueError):  # a name longer than the file system allows, or with a NUL
        return False
