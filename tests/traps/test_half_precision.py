"""A base in bfloat16 keeps its type; factors stay in float32; the merged sum is rounded once."""

import pytest
import torch
from torch import Tensor, nn

from autolora.lora import attach, merge
from autolora.testing.stage import FORMS, Form, form, randomise

HALF = (torch.bfloat16, torch.float16)
LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), lambda: torch.randn(3, 6)),
    "conv": (lambda: nn.Conv2d(4, 6, 3), lambda: torch.randn(2, 4, 6, 6)),
    "transposed": (lambda: nn.ConvTranspose1d(4, 6, 3), lambda: torch.randn(2, 4, 6)),
    "embedding": (lambda: nn.Embedding(7, 6), lambda: torch.arange(7)),
}


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("product", FORMS)
@pytest.mark.parametrize(("make", "inputs"), LAYERS.values(), ids=LAYERS)
def test_forward_and_merge(make, inputs, product: Form, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = make().to(dtype)
    x: Tensor = inputs()
    x = x.to(dtype) if x.is_floating_point() else x
    part = randomise(attach(layer, {"weight": 2}, scale=0.3)).factors["weight"]
    assert part.up.dtype == part.down.dtype == torch.float32
    base = layer._parameters["weight"]
    exact = base.double() + 0.3 * (part.up.double() @ part.down.double()).view(base.shape)
    with form(product):
        answer = layer(x)
    assert answer.dtype == dtype

    merge(layer)
    assert layer.weight.dtype == dtype
    assert torch.equal(layer.weight, exact.to(dtype))
    precise = layer.double()
    precise.weight.data = exact
    wanted = precise(x.double() if x.is_floating_point() else x)
    unit = torch.finfo(dtype).eps
    assert (answer - wanted).abs().max() <= 4 * unit * wanted.abs().max()


@pytest.mark.parametrize("product", FORMS)
def test_small_deltas_still_train(product: Form) -> None:
    """A step far below the spacing of bfloat16 is not lost in the factors."""
    layer = nn.Linear(8, 8).to(torch.bfloat16)
    adapter = attach(layer, {"weight": 2})
    x = torch.randn(4, 8, dtype=torch.bfloat16)
    with form(product):
        torch.autograd.backward(layer(x).float().square().sum())
    up = adapter.factors["weight"].up
    with torch.no_grad():
        up.fill_(1.0)
    before = up.clone()
    torch.optim.SGD([up], lr=1e-5).step()
    assert up.grad.dtype == torch.float32
    assert not torch.equal(up, before)


def test_unmerge_is_exact() -> None:
    layer = nn.Linear(6, 5).to(torch.bfloat16)
    base = layer.weight.detach().clone()
    randomise(attach(layer, {"weight": 2}))
    for _ in range(20):
        merge(layer).unmerge()
    assert torch.equal(layer.weight.base, base)
