"""The page of what faults did: a row for each fault and database, as last measured."""

import os
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from autolora.artifacts.files import write_text
from tests.postgres import binaries

TEXT = """# Reliability

`make chaos` puts faults to real processes and counts what the database holds in the end. The task
computes for milliseconds and waits in each batch, so that faults meet trials that run: a trial
takes from one to eight seconds. With `--short` fewer faults are put.

- *runs* is how often the fault was put; *attempts hit*, how many trials lost their worker by it, or
  their lease. A kill that falls in the start of a process, or between two trials, hits none.
- *lost*: trials of the budget, and baselines, without a result. *duplicates*: trials that are
  repeated twice over. *twice*: results whose configuration has an earlier result already, trained
  anew or not.
- *count exact*: the results are as many as the budget and the baselines, not one more.
- An answer is everything that seeds fix: what was trained, each loss, the best, and every
  measurement on the test split, compared digit by digit. They are to fix it for one worker
  (`inline`) and the samplers `random` and `tpe`. With several workers it depends on the moment who
  draws what, and the sampler `gp` begins its fits where its process left them; there only the
  counts are compared.
- A server that is away is measured from its return to the next result of the slower of two workers;
  that includes the trial itself, of 0.8 s.
- A full disk is a file system of 1 MB in memory; a read-only one is mounted so between two
  commands. A failing one is ext4 that is made to end all writing under a search, and is mounted
  again: what was not yet on the disk is gone, as when the power goes.

Ray's faults (a killed node, a killed driver) are tests: `tests/backends/test_ray_faults.py`. So
are a torn line of the spool, a damaged checkpoint and lost answers of the database:
`tests/study/test_outage.py`, `tests/study/test_resumed.py`.

"""
HEAD = (
    "| fault | storage | runs | attempts hit | lost | duplicates | left RUNNING | twice "
    "| count exact | seconds | date | seen |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def put(file: Path, row: str, order: Sequence[str]) -> None:
    """Puts a row on the page, in place of an earlier one of the same fault and database."""
    lines = file.read_text().splitlines() if file.exists() else []
    rows = {_key(line): line for line in lines if line.startswith("| ") and _key(line)[0] in order}
    rows[_key(row)] = row
    table = [rows[key] for key in sorted(rows, key=lambda key: (order.index(key[0]), key[1]))]
    write_text(file, TEXT + _conditions() + "\n\n" + HEAD + "\n" + "\n".join(table) + "\n")


def _key(row: str) -> tuple[str, str]:
    fault, storage = (cell.strip() for cell in row.split("|")[1:3])
    return fault, storage


def _conditions() -> str:
    found = binaries()
    asked = [str(found / "postgres"), "--version"] if found else ["echo"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    server = re.search(r"PostgreSQL\)? [\d.]+", said)
    kinds = f"SQLite {sqlite3.sqlite_version}, Optuna {version('optuna')}"
    kinds = f"{server[0].replace(')', '')}, {kinds}" if server else kinds
    return f"Measured on {os.cpu_count()} cores that other work shared: {kinds}."
