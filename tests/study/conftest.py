"""A study in a real SQLite file, and other processes that work on it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import torch
from torch import nn

from autolora.artifacts.adapter import Adapter
from autolora.lora.allocation import Allocation
from autolora.lora.attach import attach
from autolora.lora.targets import targets
from autolora.study.entries import Outcome, Plan, StudyRecord
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.training.curve import Ledger

optuna.logging.set_verbosity(optuna.logging.WARNING)

NAME = "digits"
DISTRIBUTIONS = {
    "rank.all": optuna.distributions.IntDistribution(0, 4),
    "learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
}


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3))


def record(**changes: object) -> StudyRecord:
    fields = {
        "digest": "d" * 64,
        "description": {"name": NAME, "budget": {"trials": 4}, "seed": 0},
        "targets": targets(model()),
        "groups": {"all": ("0.weight",)},
        "objective": ("loss",),
        "directions": ("minimize",),
        "budget_parameters": 14,
        "head_parameters": 5,
        "versions": {"torch": "2"},
    }
    return StudyRecord(**{**fields, **changes})  # type: ignore[arg-type]


def plan(digest: str, *, arm: str = "search", rank: int = 1) -> Plan:
    return Plan(digest, {"0.weight": rank}, {"learning_rate": 1e-3}, 7 * rank, arm)


def outcome(loss: float, **changes: object) -> Outcome:
    fields = {
        "state": "complete",
        "ledger": Ledger(100, 2.0, 1 << 20),
        "objectives": (loss,),
        "loss": loss,
        "metrics": {"accuracy": 1 - loss},
    }
    return Outcome(**{**fields, **changes})  # type: ignore[arg-type]


def adapter(rank: int) -> Adapter:
    adapted = model()
    attach(adapted, Allocation({"0.weight": rank}))
    return Adapter.capture(adapted)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


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


def ran(store: Store, study: optuna.Study, loss: float, of: Plan) -> int:
    """A trial from asking to its result."""
    number = store.ask(study, DISTRIBUTIONS).number
    assert store.claim(number, of).state == "new"
    assert store.finish(number, outcome(loss))
    return number


Act = Callable[..., "subprocess.Popen[str]"]


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
