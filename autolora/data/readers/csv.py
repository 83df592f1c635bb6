"""Comma-separated values: a header, then a row a line; also with tabs, semicolons or bars."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from autolora.data.places import text_of
from autolora.data.table import Table
from autolora.errors import NoExamples, RaggedRow, RepeatedColumn, UnreadableData

SUFFIXES = (".csv", ".tsv")

_DELIMITERS = (",", "\t", ";", "|")
_NAMES = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
_LONGEST = 2**31 - 1  # of a value, in characters; Python's own limit is 131,072


def reads(where: str) -> bool:
    """Whether a place is called a file of separated values."""
    return Path(where).suffix.lower() in SUFFIXES


def read(where: str) -> Table:
    """The rows of a file, all values as text.

    The delimiter is the one that cuts the header into most names. A value between double quotes
    may hold delimiters and new lines.

    Raises:
        NoExamples: if there is no row under the header.
        RaggedRow: if a row has more or fewer values than the header.
        RepeatedColumn: if two columns have one name.
        UnreadableData: if it is no UTF-8 text, or a quote is not closed.
    """
    path = Path(where)
    text = text_of(path)
    delimiter = _delimiter(text, path)
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    source = where if delimiter == usual else f"{where} (separated by {_NAMES[delimiter]})"
    rows = _rows(text, delimiter, source)
    _, header = next(rows, (0, []))
    if twice := next((name for i, name in enumerate(header) if name in header[:i]), None):
        raise RepeatedColumn(source, twice)
    numbers, values = [], []
    for number, row in rows:
        if len(row) != len(header):
            raise RaggedRow(f"line {number} of {source}", len(row), len(header))
        numbers.append(number)
        values.append(row)
    if not values:
        raise NoExamples(source)
    columns = dict(zip(header, map(list, zip(*values, strict=True)), strict=True))
    return Table(columns, source, path.parent, numbers, "line")


def _rows(text: str, delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line on which it begins; empty lines are none."""
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for row in reader:
            if row:
                yield begins, row
            begins = reader.line_num + 1
    except csv.Error as error:
        problem = f"{error} (a double quote inside a quoted value is written twice)"
        raise UnreadableData(f"line {begins} of {source}", problem) from error


def _delimiter(text: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return max(_DELIMITERS, key=lambda d: len(next(_rows(text, d, str(path)), (0, []))[1]))
