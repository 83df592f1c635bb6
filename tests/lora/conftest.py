"""A model of several kinds of targets at several depths."""

import pytest
import torch
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 8, 3)
        self.blocks = nn.ModuleList(nn.MultiheadAttention(8, 2) for _ in range(3))
        self.act = nn.Tanh()
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.stem(x)).permute(2, 0, 1)
        for block in self.blocks:
            y = y + block(y, y, y)[0]
        scores: Tensor = self.head(y.mean(0))
        return scores


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(1))
