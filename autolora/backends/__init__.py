"""Backends by name: where trials run; one file each.

A backend offers `run(entry, payload, listen, *, workers)`: it calls the function `entry`
("package.module:function") once in each of its workers with a JSON payload, which gains the keys
`worker` and `workers`, and passes what they report to `listen`, event by event, as plain data.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

Event = Mapping[str, Any]
Listen = Callable[[Event], None]
Entry = Callable[[Mapping[str, Any], Listen], None]


class Backend(Protocol):
    """What a file of this folder offers."""

    def run(self, entry: str, payload: Mapping[str, Any], listen: Listen, *, workers: int) -> None:
        """Returns when every worker has; raises what a worker raised."""


def resolve(entry: str) -> Entry:
    """The function that "package.module:function" names."""
    module, _, function = entry.partition(":")
    found: Entry = getattr(import_module(module), function)
    return found
