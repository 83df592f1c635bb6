"""How a study stands, drawn for a terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from autolora.study.shown import text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from autolora.study.status import Status, WorkerStatus


def drawn(status: "Status") -> "RenderableType":
    """The whole picture."""
    from rich.console import Group

    return Group(_facts(status), "", _trials(status), "", _workers(status.workers))


def facts(status: "Status") -> dict[str, str]:
    """What is told of a study in a line each."""
    pace, best, (done, left) = status.pace, status.best, status.measured
    live = sum(worker.live for worker in status.workers)
    idle = " (no worker is at it)" if status.state == "running" and not live else ""
    failed = {kind: count for kind, count in status.failures.items() if count}
    budgets = (f"{text(b.used)} of {text(b.limit)} {b.name}" for b in status.budget)
    return {
        "study": status.study,
        "state": f"{status.state}{idle}",
        "budget used": ", ".join(budgets) or "–",
        "throughput": f"{pace.trials_per_hour:.1f} trials an hour, "
        f"{pace.passes_per_second:,.0f} example-passes a second",
        "done in": "–" if pace.eta_seconds is None else f"about {_span(pace.eta_seconds)}",
        "measured": f"{done} of {done + left} (arms and seeds, as far as arms have results)",
        "failures": ", ".join(f"{count} {kind}" for kind, count in failed.items()) or "none",
        "best": "–"
        if best is None
        else f"trial {best.trial} ({best.arm}): {best.metric} {text(best.value)}, "
        f"{text(best.parameters)} parameters",
    }


def _facts(status: "Status") -> "RenderableType":
    table = _table()
    for name, value in facts(status).items():
        table.add_row(name, value)
    table.show_header = False
    return table


def _trials(status: "Status") -> "RenderableType":
    states = next(iter(status.trials.values()))
    table = _table("trials", *states)
    for kind, counts in status.trials.items():
        table.add_row(kind, *(text(count) for count in counts.values()))
    return table


def _workers(workers: "tuple[WorkerStatus, ...]") -> "RenderableType":
    table = _table("worker", "trial", "does", "done", "lease left", "seen")
    for worker in workers:
        table.add_row(*row(worker).values())
    if not workers:
        table.add_row("none")
    return table


def row(worker: "WorkerStatus") -> Mapping[str, str]:
    """A worker in a line."""
    name = f"{worker.name} " if worker.name else ""
    lease, seen = worker.lease_seconds, worker.seen_seconds
    return {
        "worker": f"{name}{worker.host}:{worker.pid}",
        "trial": text(worker.trial),
        "does": worker.doing,
        "done": "–" if worker.share is None else f"{worker.share:.0%}",
        "lease left": _lease(lease, live=worker.live),
        "seen": "–" if seen is None else f"{_span(seen)} ago",
    }


def _lease(left: float | None, *, live: bool) -> str:
    if not live:
        return "gone" if left is None or left > 0 else f"over for {_span(-left)}"
    return "–" if left is None else _span(max(0.0, left))


def _span(seconds: float) -> str:
    """A time as people say it.

    >>> _span(42), _span(5400), _span(200000)
    ('42 s', '1 h 30 min', '2 d 7 h')
    """
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if days >= 2:
        return f"{int(days)} d {int(hours % 24)} h"
    if hours >= 1:
        return f"{int(hours)} h {int(minutes % 60)} min"
    return f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"


def _table(*columns: str) -> "Table":
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, header_style="bold")
