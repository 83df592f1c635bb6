"""Trials that are handed on, and what a worker is told of the database."""

import json
import os
import pickle
from pathlib import Path

import optuna
import pytest
from made import DISTRIBUTIONS, outcome, plan
from sqlalchemy import select, update

from autolora.errors import AddressNotHere, StorageFile
from autolora.study.description import described
from autolora.study.handing import take
from autolora.study.lease import this_worker
from autolora.study.records import attempts
from autolora.study.remote import Driven, Trials
from autolora.study.remote_worker import address
from autolora.study.storage import Storage
from autolora.study.store import Store

SECRET = "postgresql+psycopg://ada:canary@db/studies"
PLAIN = "postgresql+psycopg://ada@db/studies"
OTHER = "another:1:1"


def handed(store: Store, study: optuna.Study) -> int:
    """A trial that another process has asked for."""
    number = store.ask(study, DISTRIBUTIONS).number
    with store.storage.engine.begin() as connection:
        connection.execute(update(attempts).values(worker=OTHER))
    return number


def test_a_trial_is_taken_from_the_process_that_asked(store: Store, study: optuna.Study) -> None:
    number = handed(store, study)
    assert not take(store, number, "a third:1:1")
    assert take(store, number, OTHER)
    assert take(store, number, OTHER), "again, where the answer was lost"
    assert not store.reclaim(), "it is this process's now, which runs"
    assert store.claim(number, plan("d")).state == "new"
    assert store.finish(number, outcome(0.5))
    assert not take(store, number, this_worker())


def test_a_trial_that_was_given_back_is_not_taken(store: Store, study: optuna.Study) -> None:
    number = handed(store, study)
    store.release(number)
    assert not take(store, number, OTHER)
    assert [t.state for t in store.trials()] == ["failed", "waiting"]


def test_why_a_worker_died_may_be_learnt_after_somebody_found_it_dead(
    store: Store, study: optuna.Study
) -> None:
    """Ray tells the driver later than its process is gone, and another worker may look first."""
    jobs = Trials(Driven(None, store, False, lambda _: None))  # type: ignore[arg-type]
    for first_look in ("worker died", "worker ended for want of memory"):
        number = store.ask(study, DISTRIBUTIONS).number
        store.claim(number, plan(f"d{number}"))
        store.release(number, first_look)
        jobs.lost({"number": number}, "out of memory")
        with store.storage.engine.connect() as connection:
            where = attempts.c.trial == number
            row = connection.execute(select(attempts).where(where)).mappings().one()
        assert (row["kind"], row["state"]) == ("out of memory", "failed")
        assert row["reason"] == store.trials()[number].reason == "worker ended for want of memory"
        assert not store.finish(number, outcome(0.1)), "the late result is refused"
    assert study.trials[-1].user_attrs["attempt"] == 3, "it counts as a worker that died"


def payload(url: str) -> dict[str, object]:
    spec = described(
        {
            "name": "told",
            "task": {"type": "tensors", "entry": "hungry:make"},
            "space": {
                "ranks": [1],
                "groups": [{"name": "all"}],
                "training": {"learning_rate": {"low": 0.001, "high": 0.01}},
            },
            "budget": {"trials": 1},
        }
    )
    stored = Store(Storage(url, "shown", None), "told")  # type: ignore[arg-type]
    return Driven(spec, stored, False, lambda _: None).payload(Path("runs"))


def test_no_password_is_told() -> None:
    told = payload(SECRET)
    assert "canary" not in json.dumps(told)
    assert b"canary" not in pickle.dumps(told)
    assert told["host"] is None
    assert payload("sqlite:////data/a.db")["host"] == os.uname().nodename


def test_an_address_without_a_password_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLORA_STORAGE", "postgresql+psycopg://ada@other/studies")
    assert address(payload(PLAIN)) == PLAIN


def test_a_password_is_taken_from_the_environment_or_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOLORA_STORAGE", SECRET)
    assert address(payload(SECRET)) == SECRET
    monkeypatch.delenv("AUTOLORA_STORAGE")
    file = tmp_path / "address"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("AUTOLORA_STORAGE_FILE", str(file))
    file.chmod(0o644)
    with pytest.raises(StorageFile, match="others may read it"):
        address(payload(SECRET))
    file.chmod(0o600)
    assert address(payload(SECRET)) == SECRET


@pytest.mark.parametrize("own", [None, "postgresql+psycopg://ada:canary@other/studies", PLAIN])
def test_another_address_than_the_drivers_is_refused(
    own: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that was set up for another database would train what nobody asked for."""
    monkeypatch.delenv("AUTOLORA_STORAGE", raising=False)
    monkeypatch.delenv("AUTOLORA_STORAGE_FILE", raising=False)
    if own is not None:
        monkeypatch.setenv("AUTOLORA_STORAGE", own)
    with pytest.raises(AddressNotHere) as error:
        address(payload(SECRET))
    assert "canary" not in str(error.value)
    assert error.value.exit_code == 3
