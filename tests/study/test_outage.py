"""A database that is away for a while costs time; an answer that gets lost changes nothing."""

import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import stepping
from made import (
    DISTRIBUTIONS,
    NAME,
    YOUNG,
    Act,
    adapter,
    filled,
    midway,
    outcome,
    plan,
    record,
    sqlite_only,
)
from optuna.trial import TrialState
from sqlalchemy import update

from autolora.errors import BadValue, StorageAway, StorageFailed
from autolora.spending.journal import Entry, Evaluation
from autolora.spending.stage import Stage
from autolora.study import delivery, engines, retry, spool
from autolora.study.faults import storage_errors
from autolora.study.lease import Tenure
from autolora.study.location import read_url
from autolora.study.records import attempts
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.study import Study
from autolora.study.worker import Worker
from autolora.training.curve import CurvePoint
from tests.postgres import Server

POINTS = (CurvePoint(1, 1.0, 0.9, 1e-3), CurvePoint(2, 0.8, 0.7, 1e-3))


class Locked:
    """Another process that keeps the database locked."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        assert actor.stdout.readline() == "ready\n"

    def __call__(self) -> None:
        """Locks it, or opens it again."""
        self.actor.stdin.write("now\n")
        self.actor.stdin.flush()
        assert self.actor.stdout.readline() in ("locked\n", "open\n")


@pytest.fixture
def spooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(spool.VARIABLE, str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself does not wait for a lock."""
    monkeypatch.setattr(engines, "SQLITE_PATIENCE_SECONDS", 0.01)


def patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setenv(retry.VARIABLE, str(seconds))


# Answers that get lost -----------------------------------------------------------------------


class Faulty:
    """Commits, of which one fails or succeeds without an answer."""

    def __init__(self, store: Store, *, done: bool) -> None:
        self.count, self.faulty, self.done = 0, -1, done
        dialect = store.storage.optuna.engine.dialect
        self.commit: Callable[[Any], None] = dialect.do_commit
        dialect.do_commit = self

    def __call__(self, connection: Any) -> None:
        self.count += 1
        if self.count != self.faulty:
            self.commit(connection)
            return
        if self.done:
            self.commit(connection)
        raise sqlite3.OperationalError("server closed the connection unexpectedly")


def life(store: Store, study: optuna.Study) -> None:
    """All that a worker writes, once."""
    number = store.ask(study, DISTRIBUTIONS).number
    assert store.claim(number, plan("a")).state == "new"
    assert store.curve(number, POINTS[:1])
    assert store.keep(number, "a", midway())
    assert store.finish(number, outcome(0.5), adapter(1), POINTS)
    again = store.ask(study, DISTRIBUTIONS).number
    claim = store.claim(again, plan("a"))
    assert claim == ("finished", number)
    assert store.reuse(again, claim.trial)
    last = store.ask(study, DISTRIBUTIONS).number
    store.claim(last, plan("c"))
    store.release(last)
    journal = store.journal()
    journal.keep("k", Entry(Stage("s", 1, 1.0), {}))
    journal.evaluated("s", [Evaluation("a", "b", 1.0, 1, 1), Evaluation("a", "c", 1.0, 1, 1)])


def looks(store: Store) -> tuple[Any, ...]:
    """What a study holds, but for what is drawn at random and measured in seconds.

    Optuna may make a trial twice; the one too many is told as such, and left out here.
    """
    found = zip(store.results().trials, store.optuna_study().trials, strict=True)
    wanted = [(ours, told) for ours, told in found if ours.reason != "asked for twice"]
    new = {told.number: number for number, (_, told) in enumerate(wanted)} | {None: None}
    rows = tuple(
        (
            (new[ours.number], ours.state, ours.loss, ours.reason, new[ours.reused_from]),
            (ours.curve, new[told.user_attrs.get("retry_of")], told.user_attrs.get("attempt")),
        )
        for ours, told in wanted
    )
    with store.storage.engine.connect() as connection:
        counts = [
            connection.exec_driver_sql(f"SELECT COUNT(*) FROM autolora_{table}").scalar()
            for table in ("trials", "curves", "adapters", "checkpoints", "evaluations")
        ]
    return rows, counts


def lives(template: Path, folder: Path, fault: int, *, done: bool, queued: bool) -> Any:
    """What a study looks like in which one commit failed, and how many there were."""
    path = folder / f"{fault}.db"
    shutil.copy(template, path)
    store = Store(open_storage(f"sqlite:///{path}"), NAME)
    study = store.optuna_study(optuna.samplers.RandomSampler(seed=0))
    if queued:
        study.enqueue_trial({"rank.all": 2, "learning_rate": 1e-3})
    faulty = Faulty(store, done=done)
    faulty.faulty = fault
    life(store, study)
    count, faulty.faulty = faulty.count, -1
    store.storage.close()
    found = looks(store)
    store.storage.close()
    path.unlink()
    return found, count


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("done", "queued"),
    [(True, True), (True, False), (False, False)],
    ids="queued made undone".split(),
)
def test_a_commit_that_fails_once_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool, queued: bool, step: int
) -> None:
    """With `done` the commit succeeds and the answer gets lost."""
    patience(monkeypatch, 30)
    monkeypatch.setattr(retry, "_FIRST_SECONDS", 0.001)
    template = tmp_path / "template.db"
    store = Store(open_storage(f"sqlite:///{template}"), NAME)
    store.create(record())
    store.storage.close()
    expected, commits = lives(template, tmp_path, -1, done=done, queued=queued)
    assert 20 < commits < 200
    assert [row[0][1] for row in expected[0]] == ["complete", "complete", "failed", "waiting"]
    for fault in range(1, commits + 1, step):
        found, _ = lives(template, tmp_path, fault, done=done, queued=queued)
        assert found == expected, f"commit {fault} of {commits}"


# Patience ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "away"),
    [
        ("database is locked", True),
        ("connection refused", True),
        ("FATAL:  the database system is starting up", True),
        ("terminating connection due to administrator command", True),
        ("could not translate host name: Temporary failure in name resolution", True),
        ("FATAL:  sorry, too many clients already", True),
        ("database or disk is full", False),
        ("attempt to write a readonly database", False),
        ('connection failed: FATAL:  database "x" does not exist', False),
        ('connection failed: FATAL:  password authentication failed for user "x"', False),
        ("database disk image is malformed", False),
        ("disk I/O error", False),
    ],
)
def test_what_may_pass(text: str, away: bool) -> None:
    url = read_url("sqlite:////tmp/x.db")
    with pytest.raises(StorageFailed) as caught, storage_errors(url):
        raise sqlite3.OperationalError(text)
    assert isinstance(caught.value, StorageAway) is away
    assert caught.value.exit_code == 3


def test_a_patience_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(retry.VARIABLE, "long")
    with pytest.raises(BadValue, match="AUTOLORA_STORAGE_PATIENCE is 'long': give seconds"):
        retry.patience()


def test_patience_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    patience(monkeypatch, 0.5)
    tries = Counter[str]()

    def away() -> None:
        tries["all"] += 1
        store.divide(2)
        raise sqlite3.OperationalError("connection refused")

    began = time.monotonic()
    with pytest.raises(StorageAway):
        retry.patiently(store.storage, away)
    assert time.monotonic() - began >= 0.5
    assert tries["all"] > 2
    assert store.parts() == 2
    with pytest.raises(StorageAway), retry.once():
        retry.patiently(store.storage, away)


@pytest.fixture
def stepper(address: str, tmp_path: Path, hasty: None, spooled: Path) -> Iterator[Worker]:
    stepping.AT.clear()
    spec = stepping.spec()
    study = Study.create(spec, storage=address, folder=tmp_path / "runs", allow_code=True)
    payload = {"description": spec.model_dump(mode="json"), "url": study.store.storage.url}
    worker = Worker.of({**payload, "allow_code": True, "worker": 0}, lambda event: None)
    yield worker
    worker.store.storage.close()
    study.store.storage.close()


@sqlite_only
def test_training_goes_on_while_the_database_is_away(
    stepper: Worker, act: Act, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patience(monkeypatch, 60)
    lock = Locked(act("lock"))
    stepping.AT.update({3: lock, 8: lambda: threading.Timer(1.0, lock).start()})
    with caplog.at_level(logging.WARNING, logger="autolora.study"):
        stepper.search(most=1)
    row = stepper.store.results().trials[0]
    assert row.state == "complete"
    assert [point.step for point in row.curve] == [2, 4, 6, 8]
    said = caplog.text
    assert "trial 0 trains on, 2 points wait" in said
    assert "answers again after" in said
    assert not list(spool.folder().iterdir()), "it is delivered"


@pytest.mark.postgres
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # lost connections
@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_server_that_is_restarted_costs_time_and_no_lease(
    stepper: Worker,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is away from the third step until after the last; the lease runs out meanwhile."""
    patience(monkeypatch, 60)
    short = Store(stepper.store.storage, "stepping", Tenure(lease_seconds=2.0))
    reached, gone = threading.Event(), threading.Event()

    def third() -> None:
        reached.set()
        gone.wait(60)

    stepping.AT[3] = third
    worker = replace(stepper, store=short)
    working = threading.Thread(target=worker.search, kwargs={"most": 1})
    with caplog.at_level(logging.WARNING, logger="autolora.study"):
        working.start()
        assert reached.wait(60)
        postgres.stop(signal.SIGQUIT)
        gone.set()
        time.sleep(4.0)
        postgres.start()
        assert short.reclaim() == [], "nobody could renew a lease before"
        working.join(60)
    row = short.results().trials[0]
    assert (row.state, [p.step for p in row.curve]) == ("complete", [2, 4, 6, 8])
    assert "trial 0 trains on" in caplog.text
    assert "answers again after" in caplog.text
    assert "a lease was not renewed" in caplog.text


@sqlite_only
def test_a_worker_that_gives_up_leaves_its_result_and_it_is_delivered(
    stepper: Worker, act: Act, monkeypatch: pytest.MonkeyPatch, spooled: Path
) -> None:
    patience(monkeypatch, 0.3)
    lock = Locked(act("lock"))
    stepping.AT[7] = lock
    with pytest.raises(StorageAway) as caught:
        stepper.search(most=1)
    assert caught.value.exit_code == 3
    assert delivery.wheres() == {stepper.store.storage.where: 1}
    lock()
    assert delivery.deliver(stepper.store.storage) == delivery.Delivered(accepted=1)
    assert list(spooled.iterdir()) == []
    row = stepper.store.results().trials[0]
    assert (row.state, [p.step for p in row.curve]) == ("complete", [2, 4, 6, 8])
    assert stepper.store.adapter(0) is not None
    assert delivery.deliver(stepper.store.storage) == delivery.Delivered()


def test_a_disk_that_fills_up_ends_a_worker_at_once_and_the_study_goes_on(
    small_disk: Path, spooled: Path
) -> None:
    spec = stepping.spec()
    address = f"sqlite:///{small_disk}/study.db"
    study = Study.create(spec, storage=address, folder=spooled, allow_code=True)
    rest: list[Path] = []
    stepping.AT.clear()
    stepping.AT[7] = lambda: rest.append(filled(small_disk))
    payload = {"description": spec.model_dump(mode="json"), "url": study.store.storage.url}
    worker = Worker.of({**payload, "allow_code": True, "worker": 0}, lambda event: None)
    began = time.monotonic()
    with pytest.raises(StorageFailed, match="the disk is full; free some space") as caught:
        worker.search()
    assert time.monotonic() - began < retry.USUAL_SECONDS / 2, "patience would not help"
    assert caught.value.exit_code == 3
    rest[0].unlink()
    stepping.AT.clear()
    again = Study.create(spec, storage=address, folder=spooled, allow_code=True)
    again.run()
    results = again.results()
    assert {trial.state for trial in results.trials} <= {"complete", "failed"}
    assert sum(trial.arm == "search" and trial.loss is not None for trial in results.trials) == 1
    for each in (worker.store, study.store, again.store):
        each.storage.close()


# The spool -----------------------------------------------------------------------------------


def left_behind(store: Store, study: optuna.Study) -> int:
    """A trial whose result waits in the spool."""
    study.enqueue_trial({"rank.all": 3, "learning_rate": 1e-3})
    number = store.ask(study, DISTRIBUTIONS).number
    store.claim(number, plan("a"))
    of = (store.storage.where, store.name, number, plan("a"), outcome(0.2), POINTS)
    with pytest.raises(StorageAway), spool.spooled(spool.Result(*of), adapter(1)):
        raise StorageAway("the database", "it is gone", "wait")
    return number


def lost(store: Store) -> None:
    """The workers of all trials are gone."""
    store.tenure = YOUNG
    with store.storage.engine.begin() as connection:
        connection.execute(update(attempts).values(lease_until=1.0))


def test_a_result_is_taken_for_the_trial_that_repeats_its_own(
    store: Store, study: optuna.Study, spooled: Path
) -> None:
    number = left_behind(store, study)
    lost(store)
    assert store.reclaim() == [number]
    assert delivery.deliver(store.storage).accepted == 1
    first, second = study.trials
    assert (first.state, second.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert second.params == first.params == {"rank.all": 3, "learning_rate": 1e-3}
    assert second.value == 0.2
    assert store.results().trials[1].curve == POINTS
    assert store.adapter(1) is not None


def test_a_result_that_somebody_else_has_meanwhile_is_ignored(
    store: Store, study: optuna.Study, spooled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left_behind(store, study)
    lost(store)
    store.reclaim()
    again = store.ask(study, DISTRIBUTIONS).number
    store.claim(again, plan("a"))
    store.finish(again, outcome(0.3))
    assert delivery.deliver(store.storage) == delivery.Delivered(ignored=1)
    assert "trial 0 was taken from this worker" in caplog.text
    assert [trial.value for trial in study.trials] == [None, 0.3]
    assert list(spooled.iterdir()) == []


def test_a_result_of_a_study_that_began_anew_is_not_given_to_it(
    store: Store, study: optuna.Study, spooled: Path
) -> None:
    left_behind(store, study)
    store.delete()
    assert delivery.deliver(store.storage) == delivery.Delivered(ignored=1)
    left = left_behind_again(store)
    store.delete()
    store.create(record())
    fresh = store.optuna_study(optuna.samplers.RandomSampler(seed=0))
    number = store.ask(fresh, DISTRIBUTIONS).number
    assert number == left
    store.claim(number, plan("another"))
    assert delivery.deliver(store.storage) == delivery.Delivered(ignored=1)
    assert store.results().trials[number].state == "running"


def left_behind_again(store: Store) -> int:
    store.create(record())
    return left_behind(store, store.optuna_study(optuna.samplers.RandomSampler(seed=0)))


@sqlite_only
def test_the_command_delivers_what_waits(
    store: Store, study: optuna.Study, spooled: Path, tmp_path: Path
) -> None:
    number = left_behind(store, study)
    command = [str(Path(sys.executable).with_name("autolora")), "deliver"]
    said = [
        subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
        for _ in range(2)
    ]
    assert [each.returncode for each in said] == [0, 0], said[0].stderr
    assert store.storage.where in said[0].stdout
    assert said[1].stdout == "nothing waits to be delivered\n"
    assert store.results().trials[number].loss == 0.2


def test_a_torn_line_is_put_aside(
    store: Store, study: optuna.Study, spooled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left_behind(store, study)
    (file,) = spooled.glob("*.jsonl")
    file.write_text(file.read_text() + '{"version": 1, "study": "dig')
    for _ in range(2):
        assert delivery.wheres() == {store.storage.where: 1}
    assert "1 torn line(s) skipped" in caplog.text
    assert delivery.deliver(store.storage).accepted == 1
    (aside,) = spooled.iterdir()
    assert aside.read_text() == '{"version": 1, "study": "dig\n'


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_without_a_whole_adapter_a_result_is_none_and_its_trial_is_repeated(
    store: Store, study: optuna.Study, spooled: Path, damage: str
) -> None:
    number = left_behind(store, study)
    (file,) = spooled.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    if damage == "gone":
        file.unlink()
    assert delivery.deliver(store.storage) == delivery.Delivered(ignored=1)
    lost(store)
    assert store.reclaim() == [number]
    assert study.trials[-1].state is TrialState.WAITING
    assert list(spooled.iterdir()) == []


def test_a_line_names_no_file_elsewhere(store: Store, study: optuna.Study, spooled: Path) -> None:
    left_behind(store, study)
    (file,) = spooled.glob("*.jsonl")
    name = next(spooled.glob("*.safetensors")).name
    file.write_text(file.read_text().replace(name, f"../{name}"))
    assert delivery.wheres() == {}


def test_a_spool_that_cannot_be_written_keeps_no_result_back(
    store: Store, study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(spool.VARIABLE, str(tmp_path / "file" / "spool"))
    result = spool.Result("w", NAME, 0, plan("a"), outcome(0.2))
    with spool.spooled(result, adapter(1)):
        pass
