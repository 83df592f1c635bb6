"""Dropout of a delta's input: in training only, and right on average, in both forms."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import NoProbability
from autolora.lora import attach
from autolora.testing.stage import FORMS, Form, form, randomise

DRAWS = 3000
LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "linear": (lambda: nn.Linear(6, 4), lambda: torch.randn(2, 6)),
    "conv": (lambda: nn.Conv1d(4, 6, 3, groups=2), lambda: torch.randn(1, 4, 5)),
    "embedding": (lambda: nn.Embedding(5, 4), lambda: torch.arange(5)),
    "transposed": (lambda: nn.ConvTranspose1d(4, 6, 3), lambda: torch.randn(1, 4, 3)),
}
EACH = pytest.mark.parametrize(("make", "inputs"), LAYERS.values(), ids=LAYERS)


def made(make: Callable[[], nn.Module], dropout: float) -> nn.Module:
    torch.manual_seed(0)
    layer = make().double()
    randomise(attach(layer, {"weight": 2}, dropout=dropout))
    return layer


def given(inputs: Callable[[], Tensor]) -> Tensor:
    torch.manual_seed(1)
    x = inputs()
    return x.double() if x.is_floating_point() else x


@torch.no_grad()
@EACH
@pytest.mark.parametrize("product", FORMS)
def test_the_mean_over_many_draws_is_the_answer_without(make, inputs, product: Form) -> None:
    layer, x = made(make, 0.4), given(inputs)
    with form(product):
        draws = torch.stack([layer(x) for _ in range(DRAWS)])
        wanted = layer.eval()(x)
    error = draws.std(0) / math.sqrt(DRAWS)
    assert draws.std(0).max() > 0.1
    assert ((draws.mean(0) - wanted).abs() <= 5 * error + 1e-9).all()


@EACH
@pytest.mark.parametrize("product", FORMS)
def test_evaluation_drops_nothing(make, inputs, product: Form) -> None:
    layer, x = made(make, 0.4).eval(), given(inputs)
    with form(product):
        assert torch.equal(layer(x), layer(x))
        torch.testing.assert_close(layer(x), made(make, 0.0)(x))


@EACH
def test_the_base_is_never_dropped(make, inputs) -> None:
    torch.manual_seed(0)
    layer, x = make().double(), given(inputs)
    base = layer(x)
    attach(layer, {"weight": 2}, dropout=0.9)  # fresh: the delta is zero
    torch.testing.assert_close(layer(x), base)


def test_it_follows_the_mode_of_the_model() -> None:
    model = nn.Sequential(nn.Linear(6, 4)).eval()
    randomise(attach(model, {"0.weight": 2}, dropout=0.5))
    x = torch.randn(3, 6)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_adapters_of_different_rates_in_one_layer() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4).double(), torch.randn(3, 6).double()
    randomise(attach(layer, {"weight": 2}, dropout=0.5, name="a"))
    randomise(attach(layer, {"weight": 2}, name="b"), 2)
    dropped = {tuple(layer(x).flatten().tolist()) for _ in range(5)}
    assert len(dropped) == 5
    layer.eval()
    assert torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5, math.nan])
def test_what_is_no_probability(dropout: float) -> None:
    layer = nn.Linear(6, 4)
    with pytest.raises(NoProbability, match=r"is no probability to drop an input with; give one"):
        attach(layer, {"weight": 1}, dropout=dropout)
    assert layer.weight.requires_grad
