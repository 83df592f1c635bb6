"""Workers share the measurements: each takes those that no other is at."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from made import DESCRIPTION, outcome, plan
from sqlalchemy import select

from autolora.study import confirm, lease, sharing
from autolora.study.description import described
from autolora.study.records import finals
from autolora.study.results import FinalRow
from autolora.study.store import Store

Sharer = subprocess.Popen[str]


@pytest.fixture
def jobs(store: Store, study: optuna.Study) -> tuple[confirm.Job, ...]:
    """Three arms at two seeds."""
    for arm, loss in (("search", 0.2), ("uniform 1", 0.3), ("head only", 0.4)):
        study.enqueue_trial({}, user_attrs={"arm": arm})
        number = store.ask(study, {}).number
        store.claim(number, plan(arm, arm=arm))
        store.finish(number, outcome(loss, metrics={"loss": loss}))
    return confirm.jobs(described(DESCRIPTION), store.results())


@pytest.fixture
def sharers(address: str, jobs: tuple[confirm.Job, ...]) -> Iterator[list[Sharer]]:
    started: list[Sharer] = []
    yield started
    for each in started:
        each.kill()
        each.communicate()


def share(address: str, sharers: list[Sharer], *words: str) -> Sharer:
    pipe = subprocess.PIPE
    command = [sys.executable, str(Path(__file__).with_name("sharer.py")), address, *words]
    sharers.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
    return sharers[-1]


def test_two_workers_measure_every_job_once(
    address: str, store: Store, jobs: tuple[confirm.Job, ...], sharers: list[Sharer]
) -> None:
    share(address, sharers)
    share(address, sharers)
    told = [each.communicate("go\n", timeout=120)[0].splitlines() for each in sharers]
    assert [each.returncode for each in sharers] == [0, 0]
    assert sorted([*told[0], *told[1]]) == sorted(f"{job.arm} {job.seed}" for job in jobs)
    assert len(store.finals()) == len(jobs)
    assert sharing.claims(store) == {}


def test_the_job_of_a_killed_worker_is_taken_over(
    address: str, store: Store, jobs: tuple[confirm.Job, ...], sharers: list[Sharer]
) -> None:
    other = share(address, sharers, "forever")
    assert other.stdin
    assert other.stdout
    other.stdin.write("go\n")
    other.stdin.flush()
    assert other.stdout.readline() == f"{jobs[0].arm} {jobs[0].seed}\n"
    assert sharing.claim(store, jobs) == jobs[1]
    sharing.release(store, jobs[1])
    other.kill()
    while lease.started(other.pid) is not None:
        pass
    assert sharing.claim(store, jobs) == jobs[0]


def test_a_claim_repeated_is_the_same(store: Store, jobs: tuple[confirm.Job, ...]) -> None:
    """As where the answer of the database was lost."""
    assert sharing.claim(store, jobs) == jobs[0]
    assert sharing.claim(store, jobs) == jobs[0]
    assert len(sharing.claims(store)) == 1


def test_a_claim_from_another_machine_holds_for_a_time(
    store: Store, jobs: tuple[confirm.Job, ...]
) -> None:
    claim = {"worker": "elsewhere:1:1", "until": 100.0}
    assert sharing.holds(claim, 99.0)
    assert not sharing.holds(claim, 101.0)


def test_measurements_of_a_job_are_stored_together(store: Store) -> None:
    """A worker that dies among them leaves none: the others would be taken for all."""
    loss = FinalRow("search", 0, 0, 7, "loss", 0.5, 0.4, 0.6)
    accuracy = FinalRow("search", 0, 0, 7, "accuracy", 0.9, 0.8, 1.0)
    assert store.final(loss)
    assert not store.final(accuracy, loss)
    with store.storage.engine.connect() as connection:
        assert connection.scalars(select(finals.c.metric)).all() == ["loss"]
