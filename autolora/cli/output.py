"""How commands print: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from autolora.study.shown import text

__all__ = ["record", "show", "table", "text"]

Row = Mapping[str, Any]


def show(data: Any, *, as_json: bool) -> None:
    """Prints one record, or rows: aligned for people, as JSON for programs."""
    if as_json:
        print(json.dumps(data, indent=1, default=str))
    elif isinstance(data, Mapping):
        record(data)
    else:
        table(data)


def record(data: Row) -> None:
    """One line a field."""
    width = max((len(name) for name in data), default=0)
    for name, value in data.items():
        print(f"{name:<{width}}  {text(value)}")


def table(rows: Sequence[Row], title: str | None = None) -> None:
    """A table as wide as its content needs; plain text where standard output is no terminal."""
    from rich.console import Console
    from rich.table import Table

    names = list(dict.fromkeys(name for row in rows for name in row))
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in names:
        numbers = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        drawn.add_column(name, justify="right" if numbers else "left", no_wrap=not numbers)
    for row in rows:
        drawn.add_row(*(text(row.get(name)) for name in names))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(drawn)
