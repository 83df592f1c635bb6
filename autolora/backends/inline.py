"""Everything in this process: one worker, which debuggers and Task objects like."""

from collections.abc import Mapping
from typing import Any

from autolora.backends import Listen, resolve


def run(entry: str, payload: Mapping[str, Any], listen: Listen, *, workers: int = 1) -> None:
    """Calls the entry here; there is one worker whatever was asked for."""
    del workers
    resolve(entry)({**payload, "worker": 0, "workers": 1}, listen)
