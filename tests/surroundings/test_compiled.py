"""Compiled to machine code, and what compiles anew: factors change freely, scales do not."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from autolora.lora import attach, attached, views
from autolora.lora.example import Example
from autolora.testing.stage import FORMS, Form, Mode, adapted, close, form, randomise, tensors

NAMES = ("linear", "conv2d", "embedding", "attention", "lstm")
CASES = [
    pytest.param(example, product, id=f"{example.name}-{product}")
    for view in views.all_views()
    for example in view.EXAMPLES
    if example.name in NAMES
    for product in (FORMS if example.name != "lstm" else FORMS[:1])  # which has one form only
]
X = torch.linspace(-1, 1, 18).view(3, 6)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("mode", ["train", "no_grad"])
@pytest.mark.parametrize(("example", "product"), CASES)
def test_by_inductor(example: Example, mode: Mode, product: Form) -> None:
    """Torch's own compiler: answers and gradients as without it."""
    made = adapted(example, mode)
    with form(product), torch.set_grad_enabled(mode != "no_grad"):
        wanted = tensors(made.model(*made.inputs))
        found = tensors(torch.compile(made.model)(*made.inputs))
        close(found, wanted)
        if mode != "no_grad":
            close(slopes(made.model, found), slopes(made.model, wanted))


def slopes(model: nn.Module, answer: list[Tensor]) -> list[Tensor]:
    total = torch.stack([a.square().sum() for a in answer]).sum()
    return list(torch.autograd.grad(total, list(attached(model).parameters())))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    randomise(attach(model, {"0.weight": 2, "2.weight": 2}))
    return model


@pytest.fixture
def counter() -> CompileCounter:
    return CompileCounter()


def compiled(model: nn.Module, counter: CompileCounter) -> Any:
    return torch.compile(model, backend=counter, fullgraph=True)


def test_training_compiles_once(model: nn.Module, counter: CompileCounter) -> None:
    run = compiled(model, counter)
    optimizer = torch.optim.SGD(attached(model).parameters(), lr=0.1)
    answers = []
    for _ in range(4):
        optimizer.zero_grad()
        answers.append(run(X))
        close([answers[-1]], [model(X)], 1e-6)
        answers[-1].square().sum().backward()
        optimizer.step()
    assert not torch.allclose(answers[0], answers[-1])
    assert counter.frame_count == 1


def test_factors_that_are_loaded_or_edited_are_seen(
    model: nn.Module, counter: CompileCounter
) -> None:
    run = compiled(model, counter)
    before = run(X)
    randomise(attached(model), seed=8)
    assert not torch.allclose(run(X), before)
    close([run(X)], [model(X)], 1e-6)
    with torch.no_grad():
        model[0].weight.base.mul_(2)
    close([run(X)], [model(X)], 1e-6)
    assert counter.frame_count == 1


def test_every_scale_is_seen(model: nn.Module, counter: CompileCounter) -> None:
    """A scale is a number of the graph: another one may compile anew, but never too often."""
    run = compiled(model, counter)
    for step in range(1, 21):
        for part in attached(model).factors.values():
            part.scale = step / 10
        close([run(X)], [model(X)], 1e-6)
    assert counter.frame_count < 8, "torch gives up at its limit of recompilations"
