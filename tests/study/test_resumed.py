"""Where a killed run stood is where another worker goes on, to the same bits."""

import contextlib
import logging
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stepping
import torch
from sqlalchemy import select

from autolora.study import lease
from autolora.study.records import attempts, checkpoints
from autolora.study.results import TrialRow
from autolora.study.storage import default_url
from autolora.study.study import Study
from autolora.training import fit as training
from autolora.training.fit import Fit
from autolora.training.midway import Midway

HERE = Path(__file__).parent
CODE = (
    "import stepping, sys; from pathlib import Path; from autolora.study.study import Study; "
    "Study.create(stepping.spec(), folder=Path(sys.argv[1]), allow_code=True).run()"
)
Start = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    stepping.AT.clear()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def at_step_five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a search whose first trial stays at its fifth step of eight."""
    started = []

    def start(folder: Path) -> "subprocess.Popen[str]":
        for name, value in {
            "STOP_AT": "5",
            "STOPPED": str(folder / "here"),
            "PYTHONPATH": str(HERE),
            "OMP_NUM_THREADS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        folder.mkdir()
        pipe = subprocess.PIPE
        worker = subprocess.Popen([sys.executable, "-c", CODE, str(folder)], stderr=pipe, text=True)
        started.append(worker)
        deadline = time.monotonic() + 120
        while not (folder / "here").exists():
            assert worker.poll() is None, worker.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        monkeypatch.delenv("STOP_AT")
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()


def finished(folder: Path) -> Study:
    study = Study.create(stepping.spec(), folder=folder, allow_code=True)
    study.run()
    return study


def damaged(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as connection:
        (content,) = connection.execute("SELECT content FROM autolora_checkpoints").fetchone()
        flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
        connection.execute("UPDATE autolora_checkpoints SET content = ?", (flipped,))
        connection.commit()


def told(row: TrialRow) -> tuple[object, ...]:
    return row.loss, dict(row.metrics), row.curve, row.parameters, row.example_passes


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """After which step each run of this process began."""
    found: list[int] = []

    def train(run: training.Run, *rest: object) -> Fit:
        start = rest[2]
        found.append(start.place.step if isinstance(start, Midway) else 0)
        return training.train(run, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("autolora.study.worker.train", train)
    return found


def test_a_run_that_was_killed_goes_on_to_the_same_bits(
    tmp_path: Path, at_step_five: Start, starts: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="autolora.study")
    worker = at_step_five(tmp_path / "killed")
    worker.kill()
    while lease.started(worker.pid) is not None:
        time.sleep(0.01)
    shutil.copytree(tmp_path / "killed", tmp_path / "damaged")
    damaged(tmp_path / "damaged")

    whole = finished(tmp_path / "whole")
    expected = sorted(str(told(row)) for row in whole.results().trials)
    assert set(starts) == {0}

    starts.clear()
    again = finished(tmp_path / "killed")
    first, *rows = again.results().trials
    assert (first.state, first.reason) == ("failed", "worker died")
    assert starts.count(4) == 1
    assert "goes on after step 4" in caplog.text
    assert sorted(str(told(row)) for row in rows) == expected
    assert again.best.adapter.digest == whole.best.adapter.digest

    starts.clear()
    afresh = finished(tmp_path / "damaged")
    assert "begins afresh: where it stood is damaged in the database" in caplog.text
    assert set(starts) == {0}
    assert sorted(str(told(row)) for row in afresh.results().trials[1:]) == expected
    with afresh.store.storage.engine.connect() as connection:
        assert connection.execute(select(checkpoints.c.trial)).all() == []


def test_a_worker_that_is_to_make_room_gives_its_trial_back(
    tmp_path: Path, at_step_five: Start
) -> None:
    worker = at_step_five(tmp_path / "study")
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=60)[1]
    assert worker.returncode != 0, said
    study = Study.open("stepping", default_url(tmp_path / "study"))
    first, *rest = study.results().trials
    assert (first.state, first.reason) == ("failed", "preempted")
    assert "waiting" in [row.state for row in rest]
    with study.store.storage.engine.connect() as connection:
        assert connection.scalars(select(attempts.c.kind)).all() == ["preempted"]
    retried = study.store.optuna_study().trials[-1].user_attrs
    assert (retried["retry_of"], retried["attempt"]) == (0, 1)


def test_a_bug_is_told_with_where_it_was_raised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        stepping.AT.clear()
        raise KeyError("labels")

    stepping.AT[2] = fail
    study = finished(tmp_path)
    (failed,) = [row for row in study.results().trials if row.state == "failed"]
    where = r"error: KeyError: 'labels' \(test_resumed.py:\d+ in fail\)"
    assert re.fullmatch(where, failed.reason or "")
    with study.store.storage.engine.connect() as connection:
        of = select(attempts.c.kind).where(attempts.c.trial == failed.number)
        assert connection.scalar(of) == "bug"
    assert "Traceback" in caplog.text


def test_a_worker_whose_trial_is_taken_away_goes_on_with_the_next(
    tmp_path: Path, starts: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    study = Study.create(stepping.spec(), folder=tmp_path, allow_code=True)
    stepping.AT[5] = lambda: study.store.release(0)
    study.run()
    first, *rest = study.results().trials
    assert (first.state, first.reason, first.loss) == ("failed", "interrupted", None)
    assert {row.state for row in rest} == {"complete"}
    assert starts[0] == 0
    assert 4 in starts, "it goes on where it was"
    assert "trial 0 was taken from this worker" in caplog.text
    retries = [t for t in study.store.optuna_study().trials if t.user_attrs.get("retry_of") == 0]
    assert len(retries) == 1
