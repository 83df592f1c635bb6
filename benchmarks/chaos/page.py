"""The page of what faults did: a row for each fault and database, as last measured."""

from pathlib import Path

from autolora.artifacts.files import write_text

TEXT = """# Reliability

`make chaos` puts faults to real processes, with a task that trains in milliseconds, and
counts what the database holds in the end; `--short` puts fewer. A kill counts as a run wherever it
fell, in the start of a process too; "attempts hit" is how many trials lost their worker by it.
Workers and controllers run `inline`; with several processes no seed fixes which worker draws
which trial, so only the counts are compared.

The faults of Ray (a killed node, a killed driver) are tests: `tests/backends/test_ray_faults.py`.
Full disk, torn spool line and damaged checkpoint are tests too:
`tests/study/test_outage.py`, `tests/study/test_resumed.py`.

"""


def put(file: Path, head: str, row: str) -> None:
    """Puts a row on the page, in place of an earlier one of the same fault and database."""
    lines = file.read_text().splitlines() if file.exists() else []
    rows = {_key(line): line for line in lines if line.startswith("| ") and line not in head}
    rows[_key(row)] = row
    write_text(file, TEXT + head + "\n" + "\n".join(rows.values()) + "\n")


def _key(row: str) -> str:
    return "|".join(row.split("|")[1:3])
