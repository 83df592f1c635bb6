"""An in-place edit of an adapted weight would edit a temporary sum, and nobody would know."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from autolora.errors import InPlaceEdit
from autolora.lora import attach
from autolora.testing.stage import randomise


def _set(weight: Any) -> None:
    weight[0] = 1


def _add(weight: Any) -> None:
    weight += 1


def _power(weight: Any) -> None:
    weight **= 2


EDITS: dict[str, Callable[[Any], Any]] = {
    "mul_": lambda w: w.mul_(2),
    "copy_": lambda w: w.copy_(torch.ones(3, 4)),
    "requires_grad_": lambda w: w.requires_grad_(False),
    "data": lambda w: w.data,
    "grad": lambda w: w.grad,
    "setitem": _set,
    "iadd": _add,
    "ipow": _power,
    "init.normal_": nn.init.normal_,
    "init.constant_": lambda w: nn.init.constant_(w, 1.0),
    "init.kaiming_uniform_": nn.init.kaiming_uniform_,
    "init.eye_": nn.init.eye_,
    "init.zeros_": nn.init.zeros_,
    "relu_": torch.relu_,
    "foreach": lambda w: torch._foreach_mul_([w], 2.0),
    "out": lambda w: torch.ones(3, 4, out=w),
}


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(4, 3)
    randomise(attach(layer, {"weight": 2}))
    return layer


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_refused(layer: nn.Linear, edit: Callable[[Any], Any]) -> None:
    before = layer.weight.dense()
    with pytest.raises(
        InPlaceEdit,
        match=r"^`\.\w+` of an adapted weight would change a temporary sum and be lost; "
        r"change its base instead: layer\.weight\.base$",
    ):
        edit(layer.weight)
    assert torch.equal(layer.weight.dense(), before)


def test_reset_parameters_is_refused(layer: nn.Linear) -> None:
    with pytest.raises(InPlaceEdit):
        layer.reset_parameters()


def test_it_is_no_thing_to_optimise(layer: nn.Linear) -> None:
    with pytest.raises(TypeError, match="AdaptedWeight"):
        torch.optim.SGD([layer.weight], lr=0.1)


def test_it_may_be_read_by_an_edit_of_something_else(layer: nn.Linear) -> None:
    total = torch.zeros(3, 4)
    total.add_(layer.weight)
    assert torch.equal(total, layer.weight.dense())


def test_the_base_may_be_edited(layer: nn.Linear) -> None:
    x = torch.randn(2, 4)
    before = layer(x)
    with torch.no_grad():
        layer.weight.base.add_(1)
    torch.testing.assert_close(layer(x), before + x.sum(1, keepdim=True))


def test_arithmetic_gives_plain_tensors(layer: nn.Linear) -> None:
    dense = layer.weight.dense()
    for found, wanted in (
        (layer.weight + 1, dense + 1),
        (2 * layer.weight, 2 * dense),
        (layer.weight @ torch.ones(4), dense @ torch.ones(4)),
        (-layer.weight, -dense),
        (layer.weight[1], dense[1]),
        (layer.weight.t(), dense.t()),
        (torch.cat([layer.weight, layer.weight]), torch.cat([dense, dense])),
        (layer.weight.norm(), dense.norm()),
    ):
        assert type(found) is torch.Tensor
        assert torch.equal(found, wanted)
