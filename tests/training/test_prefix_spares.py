"""What kept activations spare is counted: the whole forward pass below the cut, and no less."""

import copy

import pytest
import torch
from prefix_models import CPU, Rows
from torch import nn
from torch.nn import functional as F

from autolora.lora import Allocation, attach, targets
from autolora.training import modes
from autolora.training.prefix import Prefix
from benchmarks.prefix_flops import counted


class Images(nn.Module):
    """Convolutions with and without groups below and above."""

    def __init__(self):
        super().__init__()
        self.lower = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6(), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        )
        self.upper = nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU6(), nn.Conv2d(16, 4, 3, stride=2))
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.upper(self.lower(x)).mean((2, 3)))


LOWER = 2 * 64 * 8 * (3 * 9 + 9)  # FLOPs of an image of 8 × 8


@pytest.fixture
def images():
    torch.manual_seed(0)
    pixels = torch.randn(30, 3, 8, 8, dtype=torch.float64)
    labels = (pixels[:, 0, 0, 0] > 0).long()
    return Rows({"x": pixels}, labels, lambda model, given: model(given["x"]))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Images().double()
    upper = [t for t in targets(model) if t.layer.startswith("upper")]
    attach(model, Allocation.uniform(upper, 2)).also_train("head")
    return model


def test_nothing_below_the_cut_is_computed_in_a_step(images, model):
    replay = Prefix(10**9).prepare(model, ["upper.0", "upper.2", "head"], images, CPU)
    modes.train(model)
    batch = next(images.batches("train", batch_size=5, seed=1))

    def kept():
        with replay.on(model, batch, "train"):
            images.loss(model, batch).backward()

    whole = counted(lambda: images.loss(model, batch).backward())
    assert whole - counted(kept) == 5 * LOWER


def test_nothing_flows_back_below_the_cut_without_it(images, model):
    """So what is kept can spare the forward pass of the lower part alone."""
    batch = next(images.batches("train", batch_size=5, seed=1))
    above = copy.deepcopy(model)
    above.lower = nn.Identity()
    with torch.no_grad():
        states = model.lower(batch.inputs["x"])
    whole = counted(lambda: images.loss(model, batch).backward())
    upper = counted(lambda: images.loss(above, batch._replace(inputs={"x": states})).backward())
    assert whole - upper == 5 * LOWER


def test_nothing_below_the_cut_is_computed_in_an_evaluation(images, model):
    replay = Prefix(10**9).prepare(model, ["upper.0", "upper.2", "head"], images, CPU)
    batch = next(images.batches("valid", batch_size=5))
    model.eval()

    @torch.no_grad()
    def kept():
        with replay.on(model, batch, "valid"):
            images.loss(model, batch)

    with torch.no_grad():
        whole = counted(lambda: images.loss(model, batch))
    assert whole - counted(kept) == 5 * LOWER


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_are_counted_as_they_are_computed(groups):
    x, kernel = torch.randn(2, 4, 6, 6), torch.randn(8, 4 // groups, 3, 3)
    once = 2 * (2 * 8 * 16) * (4 // groups) * 9
    assert counted(lambda: F.conv2d(x, kernel, groups=groups)) == once
    x.requires_grad_()
    assert counted(lambda: F.conv2d(x, kernel, groups=groups).sum().backward()) == 2 * once
    kernel.requires_grad_()
    assert counted(lambda: F.conv2d(x, kernel, groups=groups).sum().backward()) == 3 * once


def test_attention_and_products_added_in_place_are_counted():
    query = torch.randn(2, 3, 5, 8)
    attention = 2 * (2 * 3 * 5 * 5 * 8) * 2
    assert counted(lambda: F.scaled_dot_product_attention(query, query, query)) == attention
    some, others = torch.randn(4, 5), torch.randn(5, 6)
    assert counted(lambda: torch.zeros(4, 6).addmm_(some, others)) == 2 * 4 * 5 * 6
