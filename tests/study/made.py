"""What the tests of the study database are made of."""

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
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
from autolora.study.lease import Tenure
from autolora.study.store import Store
from autolora.training.checkpoint import Checkpoint
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.loop import Evaluated
from autolora.training.midway import Midway

Act = Callable[..., "subprocess.Popen[str]"]
sqlite_only = pytest.mark.parametrize("address", ["sqlite"], indirect=True)
NAME = "digits"
YOUNG = Tenure(lease_seconds=0.01)  # a server that began only now keeps no lease alive for long
# One that a study can be opened with, where `record` has only what the database needs.
DESCRIPTION = {
    "name": NAME,
    "task": {"type": "image", "model": "mobilenet_v2", "data": {"path": "digits"}},
    "space": "cnn",
    "training": {"steps": 100, "evaluations": 2},
    "budget": {"trials": 4, "uniform_rank": 1},
    "confirm": {"seeds": 2},
}
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


def midway() -> Midway:
    """A run that was left after three steps."""
    parameter = nn.Parameter(torch.ones(2))
    place = Checkpoint.of(3, [parameter], torch.optim.AdamW([parameter]))
    point = CurvePoint(3, 1.0, 0.9, 1e-3)
    evaluated = Evaluated(point, {"loss": 0.9})
    return Midway(place, [torch.zeros(2)], evaluated, 0, (point,), Ledger(10, 1.0, 1))


def ran(store: Store, study: optuna.Study, loss: float, of: Plan) -> int:
    """A trial from asking to its result."""
    number = store.ask(study, DISTRIBUTIONS).number
    assert store.claim(number, of).state == "new"
    assert store.finish(number, outcome(loss))
    return number


def filled(disk: Path) -> Path:
    """Leaves no room on a disk; gives the file that takes it."""
    rest = disk / "rest"
    with rest.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert os.statvfs(disk).f_bavail == 0
    return rest
