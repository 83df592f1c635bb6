"""A delta of a grouped convolution stays within its groups, whatever the rank."""

import pytest
import torch
from torch import nn

from autolora.lora import attach, merge
from autolora.testing.stage import FORMS, Form, form, randomise

LAYERS = {
    "grouped": lambda: nn.Conv2d(6, 9, 3, groups=3, padding=1),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, groups=6, padding=1),
    "multiplier": lambda: nn.Conv2d(6, 12, 3, groups=6, padding=1),
    "transposed": lambda: nn.ConvTranspose2d(6, 9, 3, groups=3, padding=1),
}


@pytest.mark.parametrize("product", FORMS)
@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_an_input_moves_its_own_group_only(layer, rank: int, product: Form) -> None:
    torch.manual_seed(0)
    model = layer().double()
    randomise(attach(model, {"weight": rank}))
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    groups = model.groups
    changed = x.clone()
    changed[:, : 6 // groups] += 1
    with form(product):
        moved = (model(changed) - model(x)).abs().amax((0, 2, 3))
    own = model.out_channels // groups
    assert moved[:own].min() > 0
    assert moved[own:].max() == 0


@pytest.mark.parametrize("product", FORMS)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_it_merges_exactly(layer, product: Form) -> None:
    model = layer().double()
    randomise(attach(model, {"weight": 3}))
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    with form(product):
        answer = model(x)
    merge(model)
    torch.testing.assert_close(model(x), answer)
