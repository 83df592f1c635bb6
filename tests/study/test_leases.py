"""A worker without a sign of life for the length of a lease loses its trial, and nothing else."""

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from made import DISTRIBUTIONS, YOUNG, Act, adapter, midway, outcome, plan
from optuna.trial import TrialState
from sqlalchemy import select, update

from autolora.errors import TakenAway
from autolora.study import reclaim as reclaiming
from autolora.study import renewing as renewal
from autolora.study.awake import Presence
from autolora.study.lease import Tenure
from autolora.study.records import attempts, checkpoints
from autolora.study.renewing import renew, renewing
from autolora.study.store import Store


def kinds(store: Store) -> list[str | None]:
    with store.storage.engine.connect() as connection:
        return list(connection.scalars(select(attempts.c.kind).order_by(attempts.c.trial)))


def stopped(actor: "subprocess.Popen[str]") -> bool:
    return Path(f"/proc/{actor.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def freeze(actor: "subprocess.Popen[str]", store: Store) -> None:
    """Stops it, but not within a write: there it would keep SQLite locked while it is frozen."""
    while True:
        actor.send_signal(signal.SIGSTOP)
        while not stopped(actor):
            time.sleep(0.01)
        if writable(store):
            return
        actor.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def writable(store: Store) -> bool:
    if store.storage.engine.dialect.name != "sqlite":
        return True
    database = store.storage.engine.url.database
    assert database
    with closing(sqlite3.connect(database, timeout=0.2, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
    return True


def test_a_frozen_worker_loses_its_trial_once_and_its_late_result_counts_for_nothing(
    store: Store, study: optuna.Study, act: Act
) -> None:
    store.tenure = YOUNG
    actor = act("frozen")
    assert actor.stdout
    assert actor.stdin
    assert actor.stdout.readline() == "ready\n"
    time.sleep(2.5)
    assert store.reclaim() == [], "it renews its lease"
    freeze(actor, store)
    deadline = time.monotonic() + 30
    while not store.reclaim() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stopped(actor), "the process is there"
    again = store.ask(study, DISTRIBUTIONS)
    assert again.user_attrs["attempt"] == 2
    assert store.claim(again.number, plan("same")).state == "new"
    assert store.finish(again.number, outcome(0.4), adapter(2))

    actor.send_signal(signal.SIGCONT)
    actor.stdin.write("go\n")
    actor.stdin.flush()
    said = actor.communicate(timeout=60)[0].splitlines()
    assert said[:3] == ["False"] * 3
    assert "trial 0 was taken from this worker" in said[3]
    assert actor.returncode == 0
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    first, second = store.results().trials
    assert (first.reason, first.loss, first.curve) == ("lease expired", None, ())
    assert (second.loss, store.adapter(first.number)) == (0.4, None)
    assert kinds(store) == ["expired", "finished"]


def test_who_was_away_itself_waits_a_lease_before_it_takes_anything_away(
    store: Store, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a machine's sleep: all leases have run out, and nobody could renew one."""
    here = Presence()
    monkeypatch.setattr(reclaiming, "presence", here)
    store.tenure = Tenure(lease_seconds=2.0)
    number = store.ask(study, DISTRIBUTIONS).number
    with store.storage.engine.begin() as connection:
        connection.execute(update(attempts).values(worker="elsewhere:1:1"))
    here.sign(2.0)
    back = time.monotonic()
    time.sleep(2.5)  # no sign of life meanwhile, as of a process that does not run
    assert store.reclaim() == []
    here.sign(2.0)
    while not (released := store.reclaim()):
        assert time.monotonic() < back + 30
        time.sleep(0.1)
        here.sign(2.0)
    assert released == [number]
    assert time.monotonic() - back >= 4.5


def test_a_machine_that_slept_is_noticed_though_only_the_clock_on_the_wall_went_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Presence()
    here.sign(60.0)
    assert not here.was_away(60.0)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    here.sign(60.0)
    assert here.was_away(60.0)
    here.rest()
    monkeypatch.setattr(time, "time", lambda: real() + 7200)
    assert not Presence().was_away(60.0)


def test_a_write_that_fails_does_not_end_the_renewing(
    store: Store, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.tenure = Tenure(lease_seconds=2.0)
    number = store.ask(study, DISTRIBUTIONS).number
    failing = iter([True, True])

    def flaky(*arguments: object) -> int:
        if next(failing, False):
            raise RuntimeError("as a driver may")
        return renew(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(renewal, "renew", flaky)
    with renewing(store.storage, store.name, store.tenure):
        time.sleep(3.0)
        assert store.reclaim() == []
        assert next(failing, None) is None
    store.claim(number, plan("a"))
    assert store.finish(number, outcome(0.5))


def test_a_trial_that_a_living_process_left_is_renewed_no_more(
    store: Store, study: optuna.Study
) -> None:
    """Else its lease would never end, and its equals would wait for it."""
    left, _ = (store.ask(study, DISTRIBUTIONS).number for _ in range(2))
    assert renew(store.storage, store.name, store.tenure) == 2
    renewal.leave(store.storage, store.name, left)
    assert renew(store.storage, store.name, store.tenure) == 1


def test_a_lease_is_renewed_by_what_its_worker_writes(store: Store, study: optuna.Study) -> None:
    number = store.ask(study, DISTRIBUTIONS).number

    def until() -> float:
        with store.storage.engine.begin() as connection:
            found = connection.scalar(select(attempts.c.lease_until))
            connection.execute(update(attempts).values(lease_until=1.0))
        return float(found or 0)

    asked = until()
    assert abs(asked - time.time() - store.tenure.lease_seconds) < 30
    for write in (
        lambda: store.claim(number, plan("a")),
        lambda: store.curve(number, []),
        lambda: store.keep(number, "a", midway()),
        lambda: renew(store.storage, store.name, store.tenure),
    ):
        write()
        assert until() >= asked


def test_what_was_taken_away_cannot_be_claimed_or_kept(store: Store, study: optuna.Study) -> None:
    number = store.ask(study, DISTRIBUTIONS).number
    store.claim(number, plan("a"))
    store.release(number)
    with pytest.raises(TakenAway):
        store.claim(number, plan("a"))
    assert not store.keep(number, "a", midway())
    other = store.ask(study, DISTRIBUTIONS).number
    assert store.claim(other, plan("a")).state == "new", "the late claim holds nothing"


def test_a_running_trial_that_nobody_bound_is_tried_again(
    store: Store, study: optuna.Study
) -> None:
    """As a worker leaves one that dies between asking and binding."""
    number = study.ask(DISTRIBUTIONS).number
    params = study.trials[number].params
    assert store.reclaim() == [], "it may be about to be bound"
    with store.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trials SET datetime_start = '2020-01-01 00:00:00'")
    assert store.reclaim() == [number]
    assert not store.begin(number), "it is too late"
    assert store.ask(study, DISTRIBUTIONS).params == params
    assert kinds(store)[0] == "died"


@pytest.mark.parametrize("name", ["preempted", "interrupted"])
def test_a_trial_that_is_given_back_is_no_failed_attempt(
    store: Store, study: optuna.Study, name: str
) -> None:
    store.tenure = Tenure(retries=0)
    for _ in range(3):
        store.release(store.ask(study, DISTRIBUTIONS).number, name)
    assert study.trials[-1].state is TrialState.WAITING
    assert study.trials[-1].user_attrs["attempt"] == 1
    assert kinds(store) == [name] * 3


def test_the_constraint_and_the_value_of_the_last_attempt_count(
    store: Store, study: optuna.Study
) -> None:
    store.tenure = YOUNG
    first = store.ask(study, DISTRIBUTIONS).number
    store.claim(first, plan("a", rank=4))
    with store.storage.engine.begin() as connection:
        connection.execute(update(attempts).values(worker="elsewhere:1:1", lease_until=1.0))
    assert store.reclaim() == [first]
    second = store.ask(study, DISTRIBUTIONS).number
    store.claim(second, plan("b", rank=1))
    store.finish(second, outcome(0.3))
    trials = study.trials
    assert trials[first].system_attrs["constraints"] == [14]
    assert trials[second].system_attrs["constraints"] == [-7]
    assert study.best_trial.number == second


def test_where_a_trial_stood_goes_to_the_one_that_repeats_it(
    store: Store, study: optuna.Study
) -> None:
    def count() -> int:
        with store.storage.engine.connect() as connection:
            return len(connection.execute(select(checkpoints.c.trial)).all())

    first = store.ask(study, DISTRIBUTIONS).number
    store.claim(first, plan("a"))
    assert store.keep(first, "a", midway())
    assert store.keep(first, "a", midway())
    store.release(first)
    store.release(store.ask(study, DISTRIBUTIONS).number)  # before it looked for it
    third = store.ask(study, DISTRIBUTIONS).number
    store.claim(third, plan("a"))
    found = store.stands(third, "a")
    assert found is not None
    assert (found.place.step, found.curve, count()) == (3, midway().curve, 1)
    assert store.stands(third, "another") is None
    assert count() == 0
    store.keep(third, "a", midway())
    store.tenure = Tenure(checkpoint_bytes=10)
    fourth = store.ask(study, DISTRIBUTIONS).number
    store.claim(fourth, plan("b"))
    assert store.keep(fourth, "b", midway()), "too large to be kept"
    assert count() == 1
    store.finish(third, outcome(0.5))
    assert count() == 0
