"""A task whose model asks for more memory than there is, unless few examples come at once."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.training.batch import Batch

COUNTS = {"train": 32, "valid": 8, "test": 8}
FITS = 4


class Hungry:
    head = ("1",)

    def model(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            base = nn.Linear(3, 8)
        return nn.Sequential(base, nn.Linear(8, 2))

    def batches(self, split: str, *, batch_size: int, seed: int | None = None) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(len(split))
        points = torch.randn(COUNTS[split], 3, generator=generator)
        for chosen in torch.arange(COUNTS[split]).split(batch_size):
            labels = (points[chosen, 0] > 0).long()
            yield Batch(points[chosen], labels, chosen, torch.ones(len(chosen)))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        if len(batch.examples) > FITS and model.training:
            torch.empty(2**46, len(batch.examples))
        return F.cross_entropy(model(batch.inputs), batch.targets)


def make() -> Hungry:
    return Hungry()
