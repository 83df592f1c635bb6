"""Puts faults to real processes and counts what a study lost: `python -m benchmarks.chaos`."""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.chaos import page
from benchmarks.chaos.controller import killed_controller, two_controllers
from benchmarks.chaos.frozen import frozen_worker
from benchmarks.chaos.outage import outage
from benchmarks.chaos.workers import killed_workers

FAULTS = {
    "workers": killed_workers,
    "controller": killed_controller,
    "outage": outage,
    "frozen": frozen_worker,
    "two": two_controllers,
}
HEAD = (
    "| fault | storage | runs | attempts hit | lost | duplicates | left RUNNING "
    "| trained twice | count exact | seconds | |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--storage", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the rows on that page, too")
    asked = parser.parse_args()
    if unknown := set(asked.faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    print(HEAD, flush=True)
    passed = True
    for storage in asked.storage or ["sqlite", "postgresql"]:
        for name in asked.faults or FAULTS:
            if (name, storage) == ("outage", "sqlite"):
                continue  # it has no server that could be stopped
            row, well = _put(name, storage, short=asked.short)
            passed &= well
            if asked.write:
                page.put(asked.write, HEAD, row)
    return 0 if passed else 1


def _put(name: str, storage: str, *, short: bool) -> tuple[str, bool]:
    began = time.monotonic()
    found = FAULTS[name](storage, short=short)
    missed = [what for what, holds in found.also.items() if not holds]
    verdict = "pass" if found.passed else f"**failed** {', '.join(missed)}"
    label = f"{name} (short)" if short else name
    cells = [
        label,
        storage,
        found.runs,
        found.hit,
        found.lost,
        found.duplicates,
        found.running,
        found.twice,
    ]
    cells += ["yes" if found.exact else "no", f"{time.monotonic() - began:.0f}", verdict]
    row = f"| {' | '.join(map(str, cells))} |"
    print(row, flush=True)
    return row, found.passed


if __name__ == "__main__":
    sys.exit(main())
