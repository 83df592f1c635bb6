"""Within `cached` the sum is formed once, and never an old one is used."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from autolora.lora import views
from autolora.lora.active import activate, cached
from autolora.lora.attach import attach, attached
from autolora.lora.targets import targets
from autolora.lora.weight import AdaptedWeight
from autolora.testing.stage import adapted, close, randomise

STEPPED = [e for v in views.all_views() for e in v.EXAMPLES if e.name.endswith(("_cell", "lstm"))]


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many sums are formed."""
    formed, form = [0], AdaptedWeight._form

    def counting(self: AdaptedWeight) -> Tensor:
        formed[0] += 1
        return form(self)

    AdaptedWeight._form = counting  # type: ignore[method-assign]
    try:
        yield formed
    finally:
        AdaptedWeight._form = form  # type: ignore[method-assign]


@pytest.mark.parametrize("mode", ["train", "eval", "no_grad"])
@pytest.mark.parametrize("example", STEPPED, ids=lambda e: e.name)
def test_the_answer_and_the_gradients_stay(example, mode) -> None:
    made = adapted(example, mode)
    weights = {(t.layer, t.parameter) for t in targets(made.model)}
    wanted = made.answer()
    with counted() as formed, cached(made.model):
        answer = made.answer()
    assert formed[0] == len(weights)
    close(answer, wanted, 0)
    if mode == "no_grad":
        return
    slopes = []
    for found in (answer, wanted):
        factors = list(attached(made.model).parameters())
        slopes.append(torch.autograd.grad([a.sin().sum() for a in found], factors))
    close(slopes[0], slopes[1])


def cell() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    made = nn.GRUCell(5, 4).double()
    for name in ("a", "b"):
        randomise(attach(made, {t.name: 2 for t in targets(made)}, name=name))
    return made, torch.randn(3, 5, dtype=torch.float64)


def test_a_change_is_seen() -> None:
    made, x = cell()
    with cached(made), torch.no_grad():
        first = made(x)
        attached(made, "a").factors["weight_ih[new]"].up.mul_(2)
        second = made(x)
        with activate(made, "b"):
            third = made(x)
        made._parameters["weight_hh"].add_(1)
        made._parameters["weight_ih"].add_(1)
        fourth = made(x)
    with torch.no_grad():
        assert torch.equal(fourth, made(x))
    assert len({tuple(found.flatten().tolist()) for found in (first, second, third, fourth)}) == 4


def test_gradients_after_a_pass_without() -> None:
    made, x = cell()
    with cached(made):
        with torch.no_grad():
            made(x)
        made(x).sum().backward()
    assert all(p.grad is not None for p in attached(made, "a").parameters())


def test_it_ends() -> None:
    made, x = cell()
    with cached(made):
        made(x)
    with counted() as formed, torch.no_grad():
        made(x)
        made(x)
    assert formed[0] == 4
