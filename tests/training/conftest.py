"""A task small enough to train in a blink: points of a plane, with normalisation and dropout."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.lora import Allocation, targets
from autolora.metrics import metrics
from autolora.space.proposal import Proposal
from autolora.training.answers import Answers, Metric

EXAMPLES = {"train": 50, "valid": 30, "test": 40}


@dataclass
class Points:
    """Which side of a curve a point lies on; `models` keeps every model that was asked for."""

    break_at: int | None = None  # the number of the loss that is no number
    head: tuple[str, ...] = ("4",)
    evaluation_batch: int = 100
    metrics: dict[str, Metric] = field(default_factory=lambda: metrics(["accuracy"]))
    models: list[nn.Module] = field(default_factory=list)
    losses: int = 0

    def model(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            base = [nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.2)]
        self.models.append(nn.Sequential(*base, nn.Linear(16, 2)))
        return self.models[-1]

    def data(self, split: str) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(list(EXAMPLES).index(split))
        points = torch.randn(EXAMPLES[split], 2, generator=generator)
        return points, (points[:, 0] * points[:, 1] > 0).long()

    def batches(self, split: str, *, batch_size: int, seed: int | None = None) -> Iterator[Any]:
        points, labels = self.data(split)
        order = torch.arange(len(points))
        if seed is not None:
            order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
        for chosen in order.split(batch_size):
            yield points[chosen], labels[chosen]

    def examples(self, split: str) -> int:
        return EXAMPLES[split]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.losses += 1
        points, labels = batch
        loss = F.cross_entropy(model(points), labels)
        return loss * float("nan") if self.losses == self.break_at else loss

    def answer(self, model: nn.Module, batch: Any, *, final: bool) -> Answers:
        points, labels = batch
        scores = model(points).float()
        losses = F.cross_entropy(scores, labels, reduction="none").double()
        return Answers(losses, torch.ones(len(labels)).double(), scores.argmax(1), labels, 2)

    def fingerprint(self) -> str:
        return "points"


@pytest.fixture
def points() -> Points:
    return Points()


@pytest.fixture
def proposal(points: Points) -> Proposal:
    base = [target for target in targets(points.model()) if target.layer != "4"]
    return Proposal(Allocation.uniform(base, 2), learning_rate=3e-2)
