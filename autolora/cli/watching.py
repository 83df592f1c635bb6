"""Commands that watch a running study: status, logs."""

import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autolora.cli.app import Json, Storage, StudyName, command
from autolora.cli.output import show, table

if TYPE_CHECKING:
    from autolora.study.status import Status
    from autolora.study.store import Store
    from autolora.study.triallook import TrialLook, Tried
    from autolora.training.curve import CurvePoint

Every = Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")]


@command("autolora status digits --watch")
def status(
    study: StudyName,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--once",
            help="Look again and again until it is finished; usual on a terminal.",
            show_default=False,
        ),
    ] = None,
    every: Every = 2.0,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show how a study stands: workers, trials, throughput, budget, failures, the best so far.

    Elsewhere than on a terminal, and with --json, each look is a line of JSON.
    """
    from autolora.study.study import Study

    store = Study.open(study, storage).store
    terminal = sys.stdout.isatty() and not as_json
    watches = terminal if watch is None else watch
    try:
        (_live if terminal and watches else _printed)(_looks(store, every, watches=watches))
    except KeyboardInterrupt:
        return  # the usual way to end it


@command("autolora logs digits 1 --follow")
def logs(  # noqa: PLR0913 — one option each
    study: StudyName,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="The trial's number.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new lines until the trial has ended.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="The folder of its logs; runs/STUDY without it.")
    ] = None,
    every: Every = 0.5,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show what a trial did: its attempts and why they ended, its curve, its log."""
    from autolora.study.study import Study
    from autolora.study.triallook import look

    opened = Study.open(study, storage)
    found = look(opened.store, output or opened.folder, trial)
    if as_json:
        show(_full(found), as_json=True)
        return
    _head(found)
    try:
        _log(found)
        if follow:
            _follow(opened.store, found, every)
    except KeyboardInterrupt:
        return


def _looks(store: "Store", every: float, *, watches: bool) -> "Iterator[Status]":
    """Looks at a study, again and again until it is finished if that is wanted."""
    from autolora.study.register import now
    from autolora.study.seen import seen
    from autolora.study.status import status_of

    while True:
        found = status_of(seen(store), now(store))
        yield found
        if not watches or found.state == "finished":
            return
        time.sleep(every)


def _printed(looks: "Iterator[Status]") -> None:
    from rich.console import Console

    from autolora.cli.status_table import drawn

    for found in looks:
        if sys.stdout.isatty():
            Console(highlight=False, markup=False).print(drawn(found))
        else:
            print(json.dumps(asdict(found)), flush=True)


def _live(looks: "Iterator[Status]") -> None:
    from rich.console import Console
    from rich.live import Live

    from autolora.cli.status_table import drawn

    console = Console(highlight=False, markup=False)
    with Live(console=console, auto_refresh=False) as live:
        for found in looks:
            live.update(drawn(found), refresh=True)


def _head(found: "TrialLook") -> None:
    row = found.trial
    show({"trial": row.number, "arm": row.arm, "state": row.state}, as_json=False)
    if found.tried:
        print()
        table([_attempt(tried) for tried in found.tried])
    if row.curve:
        print()
        table([asdict(point) for point in row.curve])


def _log(found: "TrialLook") -> None:
    from autolora.study.triallook import lines

    for tried in found.tried:
        written = lines(tried.log)
        if written:
            print(f"\n{tried.log}")
        elif not tried.here:
            print(f"\nthe log of trial {tried.attempt.trial} is on {tried.host}: {tried.log}")
        for line in written:
            print(line)


def _follow(store: "Store", found: "TrialLook", every: float) -> None:
    """Prints what is written to the last log from now on, until the trial has ended."""
    from autolora.study.triallook import lines, look

    folder, number = found.folder, found.trial.number
    printed = {tried.log: len(lines(tried.log)) for tried in found.tried}
    ended = found.ended
    while True:
        for tried in found.tried:
            written = lines(tried.log)
            for line in written[printed.get(tried.log, 0) :]:
                print(line, flush=True)
            printed[tried.log] = len(written)
        if ended:
            print(f"trial {number} is {found.trial.state}: {found.trial.reason or 'no complaint'}")
            return
        time.sleep(every)
        found = look(store, folder, number)
        ended = found.ended


def _attempt(tried: "Tried") -> dict[str, Any]:
    row = tried.attempt
    return {
        "trial": row.trial,
        "attempt": row.attempt,
        "worker": row.worker.rpartition(":")[0],
        "started": _clock(row.started),
        "ended": None if row.ended is None else _clock(row.ended),
        "why": row.kind or (row.state if row.ended is not None else None),
        "reason": row.reason,
    }


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds")


def _full(found: "TrialLook") -> dict[str, Any]:
    from autolora.study.triallook import lines

    attempts = [
        {**asdict(t.attempt), "host": t.host, "log": str(t.log), "lines": lines(t.log)}
        for t in found.tried
    ]
    row = found.trial
    head = {"trial": row.number, "arm": row.arm, "state": row.state, "reason": row.reason}
    return {**head, "attempts": attempts, "curve": [_point(point) for point in row.curve]}


def _point(point: "CurvePoint") -> dict[str, float | None]:
    """A point for JSON, which knows no other numbers than finite ones."""
    return {key: value if math.isfinite(value) else None for key, value in asdict(point).items()}
