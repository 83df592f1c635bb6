"""A study in a real SQLite file, and other processes that work on it."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from made import NAME, Act, record

from autolora.study.storage import open_storage
from autolora.study.store import Store
from tests.postgres import Server

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind; `sqlite_only` of made.py leaves the other one out."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/study.db"
        return
    server: Server = request.getfixturevalue("postgres")
    fresh = server.fresh()
    yield fresh
    server.drop(fresh)


@pytest.fixture
def plain(address: str) -> Iterator[optuna.storages.RDBStorage]:
    """The same database as anybody's Optuna opens it."""
    storage = optuna.storages.RDBStorage(address)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    storage = open_storage(address)
    made = Store(storage, NAME)
    made.create(record())
    yield made
    storage.close()


@pytest.fixture
def study(store: Store) -> optuna.Study:
    return store.optuna_study(optuna.samplers.RandomSampler(seed=0))


@pytest.fixture
def act(address: str) -> Iterator[Act]:
    """Starts tests/study/actor.py, which prints a line for everything that it did."""
    started = []

    def start(*words: str) -> "subprocess.Popen[str]":
        actor = subprocess.Popen(
            [sys.executable, "-u", str(Path(__file__).with_name("actor.py")), address, *words],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        started.append(actor)
        return actor

    yield start
    for actor in started:
        actor.kill()
        actor.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    libc = ctypes.CDLL(None, use_errno=True)
    disk = tmp_path / "disk"
    disk.mkdir()
    if libc.mount(b"none", bytes(disk), b"tmpfs", 0, b"size=1m"):
        pytest.skip("mounting a file system is not allowed here")
    yield disk
    libc.umount2(bytes(disk), 2)
