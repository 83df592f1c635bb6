"""A weight used twice is one target: both users see the delta, and it is merged once."""

import copy

import pytest
import torch
from torch import Tensor, nn

from autolora.lora import attach, detach, merge, targets
from autolora.lora.views.linear import Tied
from autolora.testing.stage import randomise


@pytest.fixture
def model() -> Tied:
    torch.manual_seed(0)
    return Tied().double()


@pytest.fixture
def tokens() -> Tensor:
    return torch.arange(11).view(1, 11)


def test_one_target_under_the_name_met_first(model: Tied) -> None:
    assert [t.name for t in targets(model)] == ["look_up.weight"]


def test_both_users_see_the_delta(model: Tied, tokens: Tensor) -> None:
    part = randomise(attach(model, {"look_up.weight": 2})).factors["look_up.weight"]
    table = model.look_up._parameters["weight"] + part.dense()
    torch.testing.assert_close(model(tokens), torch.tanh(table[tokens]) @ table.T)


def test_it_is_merged_once_and_stays_tied(model: Tied, tokens: Tensor) -> None:
    base = model.look_up.weight.detach().clone()
    part = randomise(attach(model, {"look_up.weight": 2})).factors["look_up.weight"]
    answer = model(tokens)
    merged = merge(model)
    assert model.look_up.weight is model.predict.weight
    torch.testing.assert_close(model.look_up.weight, base + part.dense())
    torch.testing.assert_close(model(tokens), answer)
    merged.unmerge()
    assert torch.equal(model(tokens), answer)
    detach(model)
    assert model.look_up.weight is model.predict.weight
    assert torch.equal(model.look_up.weight, base)


def test_a_copy_stays_tied(model: Tied, tokens: Tensor) -> None:
    randomise(attach(model, {"look_up.weight": 2}))
    twin, answer = copy.deepcopy(model), model(tokens)
    assert torch.equal(twin(tokens), answer)
    detach(twin)
    assert twin.look_up.weight is twin.predict.weight
    assert torch.equal(model(tokens), answer)


def test_a_module_registered_twice() -> None:
    shared = nn.Linear(5, 5, bias=False).double()
    model = nn.Sequential(shared, nn.Tanh(), shared)
    assert [t.name for t in targets(model)] == ["0.weight"]
    x = torch.randn(3, 5, dtype=torch.float64)
    part = randomise(attach(model, {"0.weight": 2})).factors["0.weight"]
    weight = shared._parameters["weight"] + part.dense()
    torch.testing.assert_close(model(x), torch.tanh(x @ weight.T) @ weight.T)
    merge(model)
    torch.testing.assert_close(model(x), torch.tanh(x @ weight.T) @ weight.T)
