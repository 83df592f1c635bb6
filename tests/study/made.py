"""What the tests of the study database are made of."""

import subprocess
from collections.abc import Callable

import optuna
import torch
from torch import nn

from autolora.artifacts.adapter import Adapter
from autolora.lora.allocation import Allocation
from autolora.lora.attach import attach
from autolora.lora.targets import targets
from autolora.study.entries import Outcome, Plan, StudyRecord
from autolora.study.store import Store
from autolora.training.curve import Ledger

Act = Callable[..., "subprocess.Popen[str]"]
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


def ran(store: Store, study: optuna.Study, loss: float, of: Plan) -> int:
    """A trial from asking to its result."""
    number = store.ask(study, DISTRIBUTIONS).number
    assert store.claim(number, of).state == "new"
    assert store.finish(number, outcome(loss))
    return number
