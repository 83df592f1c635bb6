"""What a running search shows: bars on a terminal and in a notebook, lines elsewhere."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from autolora.study.shown import text

Event = Mapping[str, Any]


class Lines:
    """One plain line for each finished trial, for logs and pipes."""

    def __init__(self) -> None:
        self._last: str | None = None

    def __call__(self, event: Event) -> None:
        """Prints what is worth a line; what several workers wait for is said once."""
        line = sentence(event)
        if line and not (event["event"] == "waits" and line == self._last):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        self._last = line or self._last


class Bars:
    """A bar for the whole and one for what each worker does now."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._whole = progress.add_task("waiting for workers", total=None)
        self._workers: dict[int, Any] = {}
        self._last: str | None = None

    def __call__(self, event: Event) -> None:
        """Moves the bars; finished trials scroll past above them."""
        line = sentence(event)
        if line and not (event["event"] == "waits" and line == self._last):
            self._progress.console.print(line, markup=False, highlight=False)
        self._last = line or self._last
        if "total" in event:
            self._progress.update(
                self._whole,
                total=event["total"],
                completed=event["done"],
                description=f"{event['phase']} {event['done']}/{event['total'] or '…'}",
            )
        if "worker" in event:
            self._move(event)

    def _move(self, event: Event) -> None:
        worker = event["worker"]
        if worker not in self._workers:
            self._workers[worker] = self._progress.add_task("", total=1)
        self._progress.update(
            self._workers[worker],
            description=f"  worker {worker}: {event.get('what', '')}",
            completed=event.get("share", 1.0),
        )


@contextmanager
def listener() -> Iterator[Lines | Bars]:
    """Bars if standard error is a terminal or this is a notebook, lines otherwise."""
    if not sys.stderr.isatty() and "ipykernel" not in sys.modules:
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=sys.stderr.isatty())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)


def sentence(event: Event) -> str | None:
    """The line that an event is worth, if any."""
    if event["event"] in ("said", "waits"):
        return str(event["text"])
    if event["event"] == "memory":
        return (
            f"trial {event['trial']:>4} ran out of memory; it and all later ones go on with "
            f"batches in {event['parts']} parts"
        )
    if event["event"] == "trial":
        return _trial(event)
    if event["event"] == "confirmed":
        metrics = ", ".join(f"{name} {text(value)}" for name, value in event["metrics"].items())
        return f"confirm    {event['arm']:<12} seed {event['seed']}   test {metrics}"
    return None


def _trial(event: Event) -> str:
    head = f"trial {event['number']:>4} {event['arm']:<12} {event['parameters']:>9,} parameters"
    if event["state"] != "complete":
        return f"{head}   {event['state']}: {event['reason'] or ''}".rstrip(": ")
    metrics = "".join(f"   {name} {text(v)}" for name, v in event["metrics"].items())
    note = (
        f"   same as trial {event['reused_from']}" if event.get("reused_from") is not None else ""
    )
    return f"{head}{metrics}   {event['seconds']:.1f} s{note}"
