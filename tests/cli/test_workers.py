"""Workers that join a stored study, and people who pause and stop it: real processes."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autolora.study import material, register
from autolora.study.race import counts
from autolora.study.results import Results
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.study import Study

pytestmark = pytest.mark.slow

Place = Any  # of conftest.py
Process = subprocess.Popen[str]
Start = Callable[..., Process]
COMMAND = str(Path(sys.executable).with_name("autolora"))
PATIENCE = 180  # seconds, on a machine that is busy


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    """Starts a command on the study of the folder, in a process of its own."""
    started: list[Process] = []

    def start_it(*words: str) -> Process:
        pipe = subprocess.PIPE
        environment = {**place.environment, "AUTOLORA_STORAGE": place.storage}
        process = subprocess.Popen(
            [COMMAND, *words],
            cwd=place.folder,
            env=environment,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_it
    for process in started:
        process.kill()
        process.communicate()


def made(place: Place, **changes: Any) -> None:
    """A stored study that nobody works on."""
    study = Study.create(place.study(**changes), storage=place.storage, folder=place.folder / "x")
    study.store.storage.close()


def results(place: Place) -> Results:
    storage = open_storage(place.storage, create=False)
    try:
        return Store(storage, "digits").results()
    finally:
        storage.close()


def ended(process: Process) -> tuple[str, str]:
    out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return out, said


def until(process: Process, start_of_line: str) -> str:
    """Reads what a process says until a line begins so."""
    assert process.stderr
    for line in process.stderr:
        if line.startswith(start_of_line):
            return line
    raise AssertionError(f"it never said {start_of_line}")


def test_workers_share_trials_and_measurements(place: Place, start: Start) -> None:
    made(place, budget={"trials": 4, "uniform_rank": 1}, confirm={"seeds": 2})
    workers = [start("worker", "digits", "--json"), start("worker", "digits", "--name", "second")]
    told, said = zip(*(ended(worker) for worker in workers), strict=True)
    first = json.loads(told[0])
    assert first["why"] == "nothing is left to do"
    assert told[1].startswith("digits: nothing is left to do (")

    found = results(place)
    assert {trial.state for trial in found.trials} <= {"complete", "pruned"}
    assert sum(map(counts, found.trials)) == 4
    trained = Counter(
        json.dumps([dict(t.allocation), dict(t.configuration)], sort_keys=True)
        for t in found.trials
        if t.reused_from is None
    )
    assert max(trained.values()) == 1
    # three arms at two seeds, each measured by one of them
    measured = [line for text in said for line in text.splitlines() if line.startswith("confirm")]
    assert len(measured) == len(set(measured)) == 6
    assert len(found.finals) == 6 * 3
    assert first["measured"] == sum(line.startswith("confirm") for line in said[0].splitlines())
    logs = sorted(path.name for path in (place.folder / "runs/digits/logs").iterdir())
    assert logs == [f"trial-{number:05d}.log" for number in range(len(found.trials))]
    again = ended(start("worker", "digits", "--json"))[0]
    assert json.loads(again) | {"why": ""} == {
        "study": "digits",
        "ran": 0,
        "measured": 0,
        "why": "",
    }


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_leaves_gives_its_trial_back(
    place: Place, start: Start, sent: signal.Signals
) -> None:
    made(place, training={"steps": 400, "batch_size": 16, "evaluations": 200})
    worker = start("worker", "digits")
    running(place)
    worker.send_signal(sent)
    said = worker.communicate(timeout=PATIENCE)[1]
    assert worker.returncode == 130, said
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("autolora: interrupted; everything finished is kept.")
    assert last.endswith("Go on with: autolora worker digits")
    states = Counter(trial.state for trial in results(place).trials)
    assert states["running"] == 0
    assert states["waiting"] == 2, states


def running(place: Place) -> None:
    """Waits until a trial has a point on its curve."""
    ends = time.monotonic() + PATIENCE
    while not any(trial.curve for trial in results(place).trials):
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_pause_resume_stop(place: Place, start: Start) -> None:
    place.variables["AUTOLORA_STORAGE"] = place.storage
    made(place, budget={"trials": 30, "uniform_rank": 1})
    worker = start("worker", "digits")
    until(worker, "trial ")

    assert place("pause", "digits").stdout.startswith("digits is paused: ")
    until(worker, "paused; to go on: autolora resume digits")
    there = len([t for t in results(place).trials if t.state != "waiting"])
    looked = json.loads(place("status", "digits").stdout)
    assert looked["state"] == "paused"
    assert looked["trials"]["search"]["running"] == looked["trials"]["baseline"]["running"] == 0
    time.sleep(3)
    assert len([t for t in results(place).trials if t.state != "waiting"]) == there

    told = json.loads(place("resume", "digits", "--json").stdout)
    assert told == {"study": "digits", "wish": "run", "before": "pause", "running": 0}
    until(worker, "trial ")

    assert place("stop", "digits").stdout.startswith("digits is stopped: ")
    assert ended(worker)[0].startswith("digits: stopped (")
    assert json.loads(place("status", "digits").stdout)["state"] == "stopped"
    for words in (("search", "digits"), ("worker", "digits")):
        ran = place(*words)
        assert ran.returncode == 2
        assert ran.stderr.startswith('autolora: study "digits" was stopped')
        assert ran.stderr.endswith("autolora resume digits\n")
    assert not results(place).finals

    assert "autolora search digits" in place("resume", "digits").stdout
    ended(start("search", "digits", "--trials", str(there + 2)))
    assert results(place).finals
    assert json.loads(place("status", "digits").stdout)["state"] == "finished"


def test_a_search_that_is_stopped_ends_well(place: Place, start: Start) -> None:
    place.variables["AUTOLORA_STORAGE"] = place.storage
    place.study(budget={"trials": 30, "uniform_rank": 1}, backend={"name": "process", "workers": 2})
    search = start("search", "digits")
    until(search, "trial ")
    assert place("stop", "digits").returncode == 0
    out, _ = ended(search)
    assert out.startswith("digits was stopped; to go on: autolora resume digits")
    found = results(place)
    assert not found.finals
    assert not any(trial.state == "running" for trial in found.trials)


def test_a_worker_for_so_many_trials(place: Place, start: Start) -> None:
    """It leaves the study to others; a search that goes on longer tells those who join later."""
    made(place, budget={"trials": 4, "uniform_rank": 1})
    told = json.loads(ended(start("worker", "digits", "--trials", "1", "--json"))[0])
    assert told["ran"] == 1
    states = Counter(trial.state for trial in results(place).trials)
    assert states == {"complete": 1, "waiting": 1}
    made(place, budget={"trials": 1, "uniform_rank": 1})
    ended(start("worker", "digits"))
    assert sum(map(counts, results(place).trials)) == 1


def test_other_data_are_refused(place: Place, start: Start) -> None:
    made(place)
    storage = open_storage(place.storage)
    store = Store(storage, "digits")
    ended(start("worker", "digits", "--trials", "1"))
    register.change(store, material.NOTE, lambda note: {**note, "context": "another"})
    storage.close()
    worker = start("worker", "digits")
    said = worker.communicate(timeout=PATIENCE)[1]
    assert worker.returncode == 2
    assert said.startswith('autolora: the data or the model of study "digits" are others here')
    assert Counter(trial.state for trial in results(place).trials)["running"] == 0
