"""Dilation and padding modes hold for the delta as for the base: merged equals adapted."""

import pytest
import torch
from torch import nn

from autolora.lora import attach, merge
from autolora.testing.stage import FORMS, Form, form, randomise

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")


@pytest.mark.parametrize("product", FORMS)
@pytest.mark.parametrize("dilation", [1, 2, (1, 2)])
@pytest.mark.parametrize("padding", [2, "same", (1, 2)])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_merged_equals_adapted(mode: str, padding, dilation, product: Form) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, (3, 2), padding=padding, dilation=dilation, padding_mode=mode)
    x = torch.randn(2, 4, 7, 8, dtype=torch.float64)
    layer = layer.double()
    randomise(attach(layer, {"weight": 2}))
    with form(product):
        answer = layer(x)
    merge(layer)
    torch.testing.assert_close(layer(x), answer)


@pytest.mark.parametrize("product", FORMS)
def test_an_output_size_is_kept(product: Form) -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, stride=2).double()
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    randomise(attach(layer, {"weight": 2}))
    with form(product):
        answer = layer(x, output_size=(12, 12))
    merge(layer)
    torch.testing.assert_close(layer(x, output_size=(12, 12)), answer)
