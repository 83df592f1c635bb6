"""A tiny task that does what a test wants when a training step is reached."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.study.description import StudySpec, described
from autolora.training.batch import Batch

COUNTS = {"train": 32, "valid": 16, "test": 16}
AT: dict[int, Callable[[], object]] = {}  # what to do before a step, counted in this process
_SPEC: dict[str, Any] = {
    "name": "stepping",
    "task": {"type": "tensors", "entry": "stepping:make"},
    "space": {
        "ranks": [1, 2],
        "groups": [{"name": "all"}],
        "training": {"learning_rate": {"low": 0.01, "high": 0.1}},
    },
    "training": {"steps": 8, "batch_size": 8, "evaluations": 4, "dropout": 0.1},
    "strategy": "optuna",
    "sampler": {"name": "random"},
    "pruner": {"name": "none"},
    "budget": {"trials": 1},
    "baselines": {"learning_rates": 1},
    "confirm": {"seeds": 1},
    "self_check": False,
}


def spec(**backend: Any) -> StudySpec:
    return described({**_SPEC, "backend": {"name": "inline", **backend}})


class Stepping:
    head = ("2",)

    def __init__(self) -> None:
        self.steps = 0

    def model(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            base = nn.Linear(6, 16)
        return nn.Sequential(base, nn.ReLU(), nn.Linear(16, 2))

    def batches(self, split: str, *, batch_size: int, seed: int | None = None) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(len(split))
        points = torch.randn(COUNTS[split], 6, generator=generator)
        order = torch.arange(COUNTS[split])
        if seed is not None:
            order = torch.randperm(len(order), generator=torch.Generator().manual_seed(seed))
        for chosen in order.split(batch_size):
            labels = (points[chosen, 0] * points[chosen, 1] > 0).long()
            yield Batch(points[chosen], labels, chosen, torch.ones(len(chosen)))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        if model.training:
            self.steps += 1
            AT.get(self.steps, int)()
        return F.cross_entropy(model(batch.inputs), batch.targets)


def make() -> Stepping:
    stop = os.environ.get("STOP_AT")
    if stop:
        AT[int(stop)] = stuck
    return Stepping()


def stuck() -> None:
    """Tells that the step is reached, and stays there."""
    Path(os.environ["STOPPED"]).touch()
    time.sleep(120)
