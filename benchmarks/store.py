"""Trials per second of a study's database, against Optuna alone on the same database.

    python -m benchmarks.store --write docs/results/scale.md

Eight processes share a study whose objective costs nothing. A trial of Optuna's is `ask`, four
parameters, three reports, an attribute and `tell`; one of ours is `ask` with the same four
parameters, `claim`, three points of a curve and `finish`, which keep more: a lease, a claim on the
configuration, the plan, the ledger. Both use the connection settings of `open_storage` and a
random sampler, and take turns.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.postgres import missing, served

NAME = "bench"
WARM = 3  # trials of each worker that are not counted: its statements are compiled in them
MARK = "<!-- storage -->"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=25, help="of each worker")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the part there, too")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        _work()
        return
    part = "\n".join(_part(asked))
    print(part)
    if asked.write:
        _write(asked.write, part)


def _part(asked: argparse.Namespace) -> Iterator[str]:
    began = time.monotonic()
    kinds = [kind for kind in ("sqlite", "postgresql") if asked.only in (None, kind)]
    with _started(asked.workers) as workers:
        rows = [_row(kind, asked, workers) for kind in kinds]
    minutes = (time.monotonic() - began) / 60
    names = ("autolora", "optuna", "sqlalchemy", "psycopg")
    made = ", ".join(f"{name} {version(name)}" for name in names)
    yield "## Trials per second of the database\n"
    yield "```\nmake bench-store\n```\n"
    yield (
        f"{datetime.now(UTC):%Y-%m-%d}, {made}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {minutes:.0f} min, "
        f"beside other work (load {os.getloadavg()[0]:.1f}).\n"
    )
    yield (
        f"{asked.workers} processes × {asked.trials} trials that cost nothing, after {WARM} that "
        f"are not counted, {asked.repeats} times in turns; medians, with the range in brackets. "
        "The ratio is that of a pair of neighbouring runs. What a trial of each is: see "
        "`benchmarks/store.py`.\n"
    )
    yield "| database | Optuna, trials/s | autolora, trials/s | ratio |"
    yield "|---|---|---|---|"
    yield from rows


def _row(kind: str, asked: argparse.Namespace, workers: "list[subprocess.Popen[str]]") -> str:
    found: dict[str, list[float]] = {"optuna": [], "ours": []}
    with _databases(kind) as fresh:
        for turn in range(asked.repeats):
            order = ("optuna", "ours") if turn % 2 else ("ours", "optuna")
            for path in order:
                found[path].append(_speed(path, fresh(), asked.trials, workers))
                print(kind, path, f"{found[path][-1]:.1f}", file=sys.stderr)
    ratios = [a / b for a, b in zip(found["ours"], found["optuna"], strict=True)]
    cells = (_spread(found["optuna"], 1), _spread(found["ours"], 1), _spread(ratios, 2))
    return f"| {kind} | {' | '.join(cells)} |"


def _spread(values: list[float], digits: int) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({low} to {high})"


@contextmanager
def _databases(kind: str) -> Iterator[Any]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="autolora-bench-") as folder:
            names = iter(range(1000))
            yield lambda: f"sqlite:///{folder}/{next(names)}.db"
        return
    if missing():
        raise SystemExit(missing())
    with served(on_disk=True, fsync="on") as server:
        yield server.fresh


@contextmanager
def _started(count: int) -> Iterator["list[subprocess.Popen[str]]"]:
    words = [sys.executable, "-m", "benchmarks.store", "--work"]
    started = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        yield started
    finally:
        for worker in started:
            worker.communicate()  # at the end of its input it ends


def _speed(path: str, address: str, trials: int, workers: "list[subprocess.Popen[str]]") -> float:
    """Trials per second, from a common start to the end of the last process."""
    _create(address)
    job = {"path": path, "address": address, "trials": trials}
    _tell(workers, json.dumps(job), "ready")
    began = time.monotonic()
    _tell(workers, "go", "done")
    seconds = time.monotonic() - began
    _check(address, len(workers) * (WARM + trials))
    return len(workers) * trials / seconds


def _tell(workers: "list[subprocess.Popen[str]]", line: str, answer: str) -> None:
    """Says the same to all, and waits for the answer of each."""
    for worker in workers:
        assert worker.stdin
        worker.stdin.write(f"{line}\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == f"{answer}\n"


def _create(address: str) -> None:
    from autolora.study.entries import StudyRecord
    from autolora.study.storage import open_storage
    from autolora.study.store import Store

    record = StudyRecord("d" * 64, {"name": NAME}, (), {}, ("loss",), ("minimize",), 10**6, 0)
    storage = open_storage(address)
    Store(storage, NAME).create(record)
    storage.close()


def _check(address: str, total: int) -> None:
    """Every trial is there, once, with a result."""
    from optuna.trial import TrialState

    from autolora.study.storage import open_storage
    from autolora.study.store import Store

    storage = open_storage(address, create=False)
    told = Store(storage, NAME).optuna_study().get_trials(deepcopy=False)
    assert [t.number for t in told] == list(range(total))
    assert {t.state for t in told} == {TrialState.COMPLETE}
    storage.close()


def _work() -> None:
    """One process: for each job it opens the study, waits for the start, and does its trials."""
    import optuna

    from autolora.study.storage import open_storage
    from autolora.study.store import Store

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for line in sys.stdin:
        job = json.loads(line)
        store = Store(open_storage(job["address"], create=False), NAME)
        study = store.optuna_study(optuna.samplers.RandomSampler())
        do = {"ours": _ours, "optuna": _optunas}[job["path"]]
        for _ in range(WARM):
            do(store, study)
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(job["trials"]):
            do(store, study)
        print("done", flush=True)
        store.storage.close()


def _ours(store: Any, study: Any) -> None:
    from autolora.study.entries import Outcome, Plan
    from autolora.training.curve import CurvePoint, Ledger

    trial = store.ask(study, _distributions())
    plan = Plan(f"digest {trial.number}", {"a": 1}, {"learning_rate": 1e-3}, 10)
    store.claim(trial.number, plan)
    for step in range(3):
        store.curve(trial.number, [CurvePoint(step, 1.0, 1.0, 1e-3)])
    store.finish(trial.number, Outcome("complete", Ledger(1, 0.0, 0), (0.5,), 0.5, {"loss": 0.5}))


def _optunas(store: Any, study: Any) -> None:
    del store
    trial = study.ask()
    for name, domain in _distributions().items():
        trial.suggest_float(name, domain.low, domain.high)
    for step in range(3):
        trial.report(1.0, step)
    trial.set_user_attr("arm", "search")
    study.tell(trial, 0.5)


def _distributions() -> dict[str, Any]:
    import optuna

    return {f"x{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(4)}


def _write(file: Path, part: str) -> None:
    """Puts the part in its place on the page; what else stands there stays."""
    from autolora.artifacts.files import write_text

    before, mark, after = (file.read_text() if file.exists() else "# Scale\n\n").partition(MARK)
    rest = after.partition(MARK)[2] if mark else ""
    write_text(file, f"{before}{MARK}\n{part}\n{MARK}\n{rest.lstrip()}")


if __name__ == "__main__":
    main()
