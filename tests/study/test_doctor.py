from pathlib import Path

import optuna
import pytest
from made import DISTRIBUTIONS, NAME, plan, ran, record
from sqlalchemy import update

from autolora.study.doctor import checks, clear_orphans, combinations
from autolora.study.records import attempts
from autolora.study.store import Store


def failing(address: str | None, folder: Path) -> dict[str, str]:
    return {check.name: check.message for check in checks(address, folder) if not check.ok}


def test_a_machine_and_a_study_in_order(store: Store, study: optuna.Study, tmp_path: Path) -> None:
    store.claim(store.ask(study, DISTRIBUTIONS).number, plan("a"))
    found = {check.name: check for check in checks(store.storage.url, tmp_path / "cache")}
    assert [name for name, check in found.items() if not check.ok] == []
    assert "schema 0003, 1 studies" in found["storage"].message
    assert found["trials"].message == "1 trials of digits are running"
    assert not (tmp_path / "cache").exists()


def test_a_trial_without_a_worker_is_reported(
    store: Store, study: optuna.Study, tmp_path: Path
) -> None:
    store.ask(study, DISTRIBUTIONS)
    with store.storage.engine.begin() as connection:
        connection.execute(update(attempts).values(worker="elsewhere:1:1"))
    assert failing(store.storage.url, tmp_path) == {}
    study.ask(DISTRIBUTIONS)
    assert "trials 1 of digits run without" in failing(store.storage.url, tmp_path)["trials"]


def test_what_belongs_to_no_study_is_reported(
    store: Store, study: optuna.Study, tmp_path: Path
) -> None:
    optuna.delete_study(study_name=NAME, storage=store.storage.optuna)
    Store(store.storage, "other").create(record())
    assert "gone of: digits;" in failing(store.storage.url, tmp_path)["orphans"]


def test_what_belongs_to_no_study_is_cleared_and_nothing_else(
    store: Store, study: optuna.Study, tmp_path: Path
) -> None:
    other = Store(store.storage, "other")
    other.create(record())
    ran(other, other.optuna_study(optuna.samplers.RandomSampler(seed=0)), 0.5, plan("a"))
    ran(store, study, 0.5, plan("a"))
    optuna.delete_study(study_name=NAME, storage=store.storage.optuna)
    assert clear_orphans(store.storage.url) == [NAME]
    assert clear_orphans(store.storage.url) == []
    assert failing(store.storage.url, tmp_path) == {}
    assert len(other.results().trials) == 1
    assert not store.exists()


def test_a_database_that_does_not_open_is_reported_and_one_to_come_is_not(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("some text that is no database")
    assert (
        "is no SQLite database" in failing(f"sqlite:///{tmp_path}/notes.txt", tmp_path)["storage"]
    )
    assert failing(f"sqlite:///{tmp_path}/new.db", tmp_path) == {}
    assert "cache" in failing(None, tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({"torch": "2.14.1+cpu", "torchvision": "0.29.1+cpu", "torchaudio": "2.11.0"}, []),
        ({"torch": "2.11.0", "torchvision": "0.26.0"}, []),
        ({"torch": "2.14.1", "torchvision": "0.28.0"}, ["torchvision"]),
        ({"torch": "2.10.0", "torchaudio": "2.11.0"}, ["torchaudio"]),
        ({}, ["torch"]),
    ],
)
def test_combinations_that_do_not_load(found: dict[str, str], wrong: list[str]) -> None:
    assert [check.name for check in combinations(found) if not check.ok] == wrong
