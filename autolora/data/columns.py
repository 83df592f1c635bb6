"""Columns become roles: found by their names, each value checked and made what the role is."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autolora.data.media import KIND_OF_ROLE, kind_of, stored
from autolora.data.table import Table
from autolora.errors import (
    EmptyText,
    MissingColumn,
    MissingValue,
    NoSuchMedia,
    NotAList,
    NotANumber,
    NotAText,
    NotMedia,
    UnknownRole,
)
from autolora.registry import nearest

_NAMES = ("label", "group")  # texts that tell examples apart: never empty
_PLAIN = (str, bool, int, float)


@dataclass(frozen=True)
class Roles:
    """What a task reads from the data.

    Values become text, unless their role is among `files`, `numbers` or `lists`.

    Attributes:
        required: Roles that a table must have.
        optional: Roles that it may have; "group" keeps examples together in one split.
        files: Values are files: existing absolute paths, or pixels (height, width[, channels]) of
            uint8 where a data set of ours has them in memory.
        numbers: Values are finite floats.
        lists: Values are tuples of texts.
        answers: Roles that a model is asked for: examples that differ only in them are copies.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ("group",)
    files: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    answers: tuple[str, ...] = ("label", "target", "transcript", "mask")


class _Cell(NamedTuple):
    table: Table
    row: int
    role: str

    @property
    def place(self) -> str:
        return self.table.place(self.row)


def bound(table: Table, roles: Roles, columns: Mapping[str, str], *, allow_empty: bool) -> Table:
    """A table whose columns are called by their roles; other columns are left out.

    Raises:
        UnknownRole: if a column is named for a role that the task has not.
        MissingColumn: if the column of a role is not there.
        MissingValue, EmptyText, NotAText, NotANumber, NotAList, NoSuchMedia, NotMedia: for the
            first value that its role cannot have, with its row.
    """
    known = (*roles.required, *roles.optional)
    if unknown := next((role for role in columns if role not in known), None):
        raise UnknownRole(unknown, known)
    named = {role: columns.get(role, role) for role in known}
    made = {}
    for role, column in named.items():
        if column in table.columns:
            convert = _converter(role, roles, allow_empty=allow_empty)
            values = table.columns[column]
            made[role] = [convert(v, _Cell(table, i, role)) for i, v in enumerate(values)]
        elif role in columns or role in roles.required:
            there = tuple(table.columns)
            near = nearest(column, there, 1) or there[:1]
            raise MissingColumn(table.source, (role, column), near[0], there)
    return replace(table, columns=made)


def _converter(role: str, roles: Roles, *, allow_empty: bool) -> Callable[[Any, _Cell], Any]:
    for names, convert in ((roles.files, _file), (roles.numbers, _number), (roles.lists, _list)):
        if role in names:
            return convert
    if role in _NAMES:
        return _name
    return _text if allow_empty else _full_text


def _text(value: Any, cell: _Cell) -> str:
    _present(value, cell)
    if not isinstance(value, _PLAIN):
        raise NotAText(cell.place, cell.role, value)
    return _encodable(str(value))


def _full_text(value: Any, cell: _Cell) -> str:
    text = _text(value, cell)
    if not text.strip():
        raise EmptyText(cell.place, cell.role)
    return text


def _name(value: Any, cell: _Cell) -> str:
    text = _text(value, cell)
    if not text.strip():
        raise MissingValue(cell.place, cell.role)
    return text


def _number(value: Any, cell: _Cell) -> float:
    _present(value, cell)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise NotANumber(cell.place, cell.role, value)
    return number


def _list(value: Any, cell: _Cell) -> tuple[str, ...]:
    _present(value, cell)
    if isinstance(value, str):
        value = [part.strip() for part in value.split("|") if part.strip()]
    if not isinstance(value, Sequence) or not all(isinstance(each, _PLAIN) for each in value):
        raise NotAList(cell.place, cell.role, value)
    return tuple(_encodable(str(each)) for each in value)


def _file(value: Any, cell: _Cell) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value
    if isinstance(value, Mapping):  # how datasets keeps media
        value = value.get("bytes") or value.get("path")
    _present(value, cell)
    if isinstance(value, bytes):
        value = stored(value)
    if not isinstance(value, str | Path) or not str(value):
        raise MissingValue(cell.place, cell.role)
    path = ((cell.table.folder or Path()) / value).absolute()
    kind = KIND_OF_ROLE.get(cell.role)
    if not _is_file(path):
        raise NoSuchMedia(cell.place, value)
    if kind is not None and kind_of(path) != kind:
        raise NotMedia(cell.place, value, kind)
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name longer than the file system allows, or with a NUL
        return False


def _present(value: Any, cell: _Cell) -> None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise MissingValue(cell.place, cell.role)


def _encodable(text: str) -> str:
    r"""A text that can be written as UTF-8: half a surrogate pair becomes U+FFFD.

    JSON can say halves, and no tokenizer reads them.

    >>> _encodable("a\ud800b") == "a\ufffdb"
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
