"""Detaching a copy must not touch the original, as it does where classes are shared."""

import copy
import pickle

import pytest
import torch
from torch import nn

from autolora.errors import NotAttached
from autolora.lora import adapters, attach, attached, detach
from autolora.testing.stage import randomise


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


RANKS = {"0.weight": 2, "2.weight": 1}


def test_detach_the_copy(model: nn.Module) -> None:
    x = torch.randn(4, 6)
    base = model(x)
    randomise(attach(model, RANKS))
    answer = model(x)
    twin = copy.deepcopy(model)
    detach(twin)
    assert torch.equal(twin(x), base)
    assert torch.equal(model(x), answer)
    assert adapters(model) == ("default",)
    detach(model)
    assert torch.equal(model(x), base)


def test_detach_the_original(model: nn.Module) -> None:
    x = torch.randn(4, 6)
    randomise(attach(model, RANKS))
    answer, twin = model(x), copy.deepcopy(model)
    detach(model)
    assert torch.equal(twin(x), answer)


def test_a_part_of_a_model_is_copied(model: nn.Module) -> None:
    x = torch.randn(4, 6)
    randomise(attach(model, RANKS))
    layer, answer = copy.deepcopy(model[0]), model[0](x)
    assert torch.equal(layer(x), answer)
    assert list(attached(layer).factors) == ["weight"]
    detach(layer)
    assert [p.requires_grad for p in layer.parameters()] == [True, True]
    assert torch.equal(model[0](x), answer)


def test_a_copy_trains_its_own_factors(model: nn.Module) -> None:
    x = torch.randn(4, 6)
    randomise(attach(model, RANKS))
    twin, answer = copy.deepcopy(model), model(x)
    optimizer = torch.optim.SGD(attached(twin).parameters(), lr=0.1)
    torch.autograd.backward(twin(x).sum())
    optimizer.step()
    assert torch.equal(model(x), answer)
    assert not torch.equal(twin(x), answer)


def test_a_pickle_is_an_adapted_model(model: nn.Module) -> None:
    x = torch.randn(4, 6)
    randomise(attach(model, RANKS))
    twin = pickle.loads(pickle.dumps(model))
    assert torch.equal(twin(x), model(x))
    assert attached(twin).allocation == RANKS
    detach(twin)
    with pytest.raises(NotAttached):
        detach(twin)
