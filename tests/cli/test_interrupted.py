"""A search that is interrupted or killed at any moment goes on with the same command."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autolora.study.race import counts
from autolora.study.results import TrialRow
from autolora.study.storage import open_storage
from autolora.study.store import Store

pytestmark = pytest.mark.slow

Place = Any  # of conftest.py
Send = Callable[[int, int], None]
TRIALS = 6


@pytest.fixture
def searching(place: Place) -> Iterator["subprocess.Popen[str]"]:
    """A search in a process of its own, which has finished its first trial."""
    place.study(
        budget={"trials": TRIALS, "uniform_rank": 1}, backend={"name": "process", "workers": 1}
    )
    running = subprocess.Popen(
        [str(Path(sys.executable).with_name("autolora")), "search", "digits"],
        cwd=place.folder,
        env=place.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert running.stderr is not None
    assert running.stderr.readline().startswith("trial ")
    yield running
    running.kill()
    running.communicate()


def stored(place: Place) -> tuple[TrialRow, ...]:
    storage = open_storage(f"sqlite:///{place.folder}/runs/digits/study.db", create=False)
    try:
        return Store(storage, "digits").trials()
    finally:
        storage.close()


def finishes(place: Place) -> None:
    """The same command ends well, with each trial of the budget trained once."""
    again = place.console("search", "digits")
    assert again.returncode == 0, again.stderr
    trials = stored(place)
    assert {t.state for t in trials} <= {"complete", "pruned", "failed"}
    assert sum(map(counts, trials)) == TRIALS
    trained = Counter(
        json.dumps([dict(t.allocation), dict(t.configuration)], sort_keys=True)
        for t in trials
        if t.state in ("complete", "pruned") and t.reused_from is None
    )
    assert max(trained.values()) == 1
    assert {t.arm for t in trials if t.state == "complete"} == {"head only", "uniform 1", "search"}


@pytest.mark.parametrize("send", [os.killpg, os.kill], ids=["terminal", "parent alone"])
def test_ctrl_c(place: Place, searching: "subprocess.Popen[str]", send: Send) -> None:
    """A terminal sends it to the workers as well, a supervisor to the parent alone."""
    send(searching.pid, signal.SIGINT)
    said = searching.communicate(timeout=60)[1]
    assert searching.returncode == 130, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("autolora: interrupted; everything finished is kept.")
    assert last.endswith("Go on with: autolora search digits")
    assert "Traceback" not in said
    assert not any(t.state == "running" for t in stored(place))
    finishes(place)


def test_kill_9(place: Place, searching: "subprocess.Popen[str]") -> None:
    moment = random.Random(os.getpid()).uniform(0, 2)
    time.sleep(moment)
    searching.kill()
    searching.wait()
    finishes(place)
