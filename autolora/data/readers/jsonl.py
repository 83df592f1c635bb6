"""JSON Lines: an object a line; its keys are the columns."""

import json
from pathlib import Path
from typing import Any

from autolora.data.places import text_of
from autolora.data.table import Table
from autolora.errors import UnreadableData

SUFFIXES = (".jsonl", ".ndjson")


def reads(where: str) -> bool:
    """Whether a place is called a file of JSON lines."""
    return Path(where).suffix.lower() in SUFFIXES


def read(where: str) -> Table:
    """The rows of a file; a key that an object does not have is None there.

    Raises:
        NoExamples: if there is no line.
        UnreadableData: if a line is no JSON object, with its number.
    """
    path = Path(where)
    numbers, rows = [], []
    # Not splitlines: JSON allows more characters inside a text than Python allows inside a line.
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line.strip():
            numbers.append(number)
            rows.append(_object(line, f"line {number} of {where}"))
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Table(columns, where, path.parent, numbers, "line")


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise UnreadableData(place, f"{error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableData(place, str(error)) from error
    if not isinstance(found, dict):
        raise UnreadableData(place, "it is JSON, but no object of columns and values")
    return found
