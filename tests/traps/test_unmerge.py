"""The way back from a merge, after the model has gone on."""

import copy

import pytest
import torch
from torch import nn

from autolora.errors import NotMerged
from autolora.lora import adapters, attach, detach, merge
from autolora.testing.stage import randomise

X = torch.linspace(-1, 1, 18).view(3, 6)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    randomise(attach(model, {"0.weight": 2, "2.weight": 1}))
    return model


def test_two_adapters_are_merged_and_come_back(model: nn.Module) -> None:
    randomise(attach(model, {"0.weight": 1}, name="b"), 2)
    answer = model(X)
    merged = merge(model)
    torch.testing.assert_close(model(X), answer)
    merged.unmerge()
    assert torch.equal(model(X), answer)
    assert adapters(model) == ("default", "b")


def test_another_adapter_came_since(model: nn.Module) -> None:
    merged = merge(model)
    randomise(attach(model, {"0.weight": 1}, name="b"), 2)
    answer = model(X)
    with pytest.raises(NotMerged, match=r"carries an adapter again; .*autolora\.detach"):
        merged.unmerge()
    assert torch.equal(model(X), answer)
    detach(model)
    merged.unmerge()
    assert adapters(model) == ("default",)


def test_only_once(model: nn.Module) -> None:
    merged = merge(model)
    merged.unmerge()
    with pytest.raises(NotMerged):
        merged.unmerge()
    detach(model)
    base = model(X)
    with pytest.raises(NotMerged):
        merged.unmerge()
    assert torch.equal(model(X), base)


def test_the_merged_weights_were_replaced(model: nn.Module) -> None:
    answer = model(X)
    merged = merge(model)
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    merged.unmerge()
    assert torch.equal(model(X), answer)
    detach(model)
    assert [p.requires_grad for p in model.parameters()] == [True] * 4


def test_a_merged_model_is_pickled_without_its_past(model: nn.Module) -> None:
    merge(model)
    assert not [key for m in model.modules() for key in vars(m) if "lora" in key]
