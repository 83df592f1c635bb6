"""A task whose batches take as long as the file says that `SUMS_SECONDS` names."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZES = {"train": 48, "valid": 20, "test": 30}


class Sums:
    head = ("2",)

    def model(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def batches(self, split: str, *, batch_size: int, seed: int | None = None) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(len(split))
        rows = torch.randn(SIZES[split], 3, generator=generator)
        if seed is not None:
            rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
        for some in rows.split(batch_size):
            yield {"rows": some, "sum": some.sum(1)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        if model.training:
            time.sleep(_seconds())
        return F.mse_loss(model(batch["rows"]).squeeze(1), batch["sum"])


def _seconds() -> float:
    told = os.environ.get("SUMS_SECONDS")
    return float(Path(told).read_text() or 0) if told else 0.0


def make() -> Sums:
    return Sums()


def description(trials: int = 6, **backend: Any) -> dict[str, Any]:
    """A study of a few trials beside the head alone and a uniform rank."""
    return {
        "name": "sums",
        "task": {"type": "tensors", "entry": "adding:make"},
        "space": {
            "ranks": [0, 1, 2],
            "groups": [{"name": "all"}],
            "training": {"learning_rate": {"low": 0.001, "high": 0.01}},
        },
        "training": {"steps": 4, "batch_size": 16, "evaluations": 2},
        "strategy": "optuna",
        "sampler": {"name": "random"},
        "pruner": {"name": "none"},
        "budget": {"trials": trials},
        "baselines": {"uniform_ranks": [1], "learning_rates": 1},
        "confirm": {"seeds": 2},
        "backend": backend,
    }
