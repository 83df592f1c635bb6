"""A small model with what formats treat differently: a depthwise layer, a recurrent one, a head."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import autolora
from autolora.testing.stage import randomise


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, groups=6)
        )
        self.memory = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.features(x).flatten(2).transpose(1, 2)
        scores: Tensor = self.head(self.memory(steps)[0].mean(1))
        return scores


RANKS = {
    "features.0.weight": 3,
    "features.2.weight": 2,
    "memory.weight_ih_l0[cell]": 1,
    "memory.weight_hh_l0[input]": 2,
}


@pytest.fixture
def base() -> Callable[[], Net]:
    """Makes the same base at every call."""

    def make() -> Net:
        torch.manual_seed(0)
        return Net().eval()

    return make


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def trained(base: Callable[[], Net]) -> Net:
    """A base with factors and a head that are not the base's."""
    model = base()
    adapter = autolora.attach(model, RANKS, scale=lambda rank: 1.3 / rank).also_train("head")
    randomise(adapter)
    nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(2))
    return model
