"""Puts faults to real processes and counts what a study lost: `python -m benchmarks.chaos`."""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from autolora.errors import AutoloraError
from benchmarks.chaos import disk, outage, page
from benchmarks.chaos.controller import killed_controller, two_controllers
from benchmarks.chaos.counts import Counts
from benchmarks.chaos.frozen import frozen_worker
from benchmarks.chaos.place import serving
from benchmarks.chaos.workers import killed_own_workers, killed_workers

# By name: what the page calls it, and what puts it.
BOTH: dict[str, tuple[str, Callable[..., Counts]]] = {
    "workers": ("kill -9 of 4 workers that joined", killed_workers),
    "process": ("kill -9 of 4 workers of the backend `process`", killed_own_workers),
    "controller": ("kill -9 of the controller", killed_controller),
    "frozen": ("a worker frozen past its lease", frozen_worker),
    "two": ("two controllers at once", two_controllers),
}
SERVER: dict[str, tuple[str, Callable[..., Counts]]] = {
    "stopped-5": ("the server stopped for 5 s", partial(outage.stopped, seconds=5.0)),
    "stopped-30": ("the server stopped for 30 s", partial(outage.stopped, seconds=30.0)),
    "crashed": ("the server crashed and restarted", outage.crashed),
    "cut-off": ("every connection ended by the server", outage.cut_off),
    "silent": (
        "the server frozen for 30 s, leases of 60 s",
        partial(outage.silent, seconds=30.0, lease_seconds=60.0),
    ),
    "silent-long": (
        "the server frozen for 30 s, leases of 10 s",
        partial(outage.silent, seconds=30.0, lease_seconds=10.0),
    ),
}
DISK: dict[str, tuple[str, Callable[..., Counts]]] = {
    "full": ("the disk full", disk.full),
    "read-only": ("the disk read-only", disk.read_only),
    "failing": ("the disk failing", disk.failing),
}
ALL = {**BOTH, **SERVER, **DISK}
ORDER = [label + short for label, _ in ALL.values() for short in ("", " (short)")]
SHORT = ("workers", "process", "controller", "stopped-5", "cut-off", "full", "read-only")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(ALL))
    parser.add_argument("--storage", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--short", action="store_true", help=f"fewer, of {', '.join(SHORT)} alone")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the rows on that page, too")
    asked = parser.parse_args()
    if unknown := set(asked.faults) - set(ALL):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    print(page.HEAD, flush=True)
    passed = True
    for name in asked.faults or (SHORT if asked.short else ALL):
        for storage in asked.storage or ["sqlite", "postgresql"]:
            if (name in SERVER and storage == "sqlite") or (name in DISK and storage != "sqlite"):
                continue  # SQLite has no server, and a server looks after its disk itself
            row, well = _put(name, storage, short=asked.short)
            passed &= well
            if asked.write:
                page.put(asked.write, row, ORDER)
    return 0 if passed else 1


def _put(name: str, storage: str, *, short: bool) -> tuple[str, bool]:
    began = time.monotonic()
    label, fault = ALL[name]
    try:
        with serving(storage) as server:
            found = fault(server, short=short)
    except (RuntimeError, OSError, AutoloraError) as error:
        print(error, file=sys.stderr, flush=True)
        found = Counts(0, 0, 0, 0, 0, False, 0, {str(error).splitlines()[0]: False})
    seen = "; ".join(what if holds else f"**{what}**" for what, holds in found.also.items())
    cells = [f"{label} (short)" if short else label, storage, found.runs, found.hit, found.lost]
    cells += [found.duplicates, found.running, found.twice, "yes" if found.exact else "**no**"]
    cells += [f"{time.monotonic() - began:.0f}", time.strftime("%Y-%m-%d", time.gmtime()), seen]
    row = f"| {' | '.join(map(str, cells))} |"
    print(row if found.passed else f"{row} FAILED", flush=True)
    return row, found.passed


if __name__ == "__main__":
    sys.exit(main())
