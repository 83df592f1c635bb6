"""Flags and models are given back as they were, also where something goes wrong on the way."""

import pytest
import torch
from torch import nn

from autolora.lora import adapters, attach, attached, detach, merge, targets


def untouched(model: nn.Module) -> bool:
    return all(p.requires_grad for p in model.parameters()) and not adapters(model)


def test_a_failing_rule_leaves_the_model_alone(model: nn.Module) -> None:
    def fail(rank: int) -> float:
        raise ArithmeticError(rank)

    modules = len(list(model.modules()))
    with pytest.raises(ArithmeticError):
        attach(model, {"head.weight": 1}, scale=fail)
    assert untouched(model)
    assert len(list(model.modules())) == modules


def test_a_head_is_still_trained_after_unmerge(model: nn.Module) -> None:
    attach(model, {"stem.weight": 1}).also_train("head")
    merged = merge(model)
    assert all(p.requires_grad for p in model.parameters())
    merged.unmerge()
    assert list(attached(model).also) == ["head.weight", "head.bias"]


def test_a_trained_head_that_was_frozen_is_frozen_again(model: nn.Module) -> None:
    model.head.requires_grad_(False)
    attach(model, {"stem.weight": 1}).also_train("head")
    assert model.head.bias.requires_grad
    detach(model)
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"head.weight", "head.bias"}


def test_tied_flags_come_back() -> None:
    model = nn.ModuleDict({"a": nn.Embedding(5, 4), "b": nn.Linear(4, 5)})
    model["b"].weight = model["a"].weight
    attach(model, {"a.weight": 1})
    detach(model)
    assert untouched(model)


def test_a_child_of_the_models_own_called_lora() -> None:
    model = nn.ModuleDict({"lora": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    assert [t.name for t in targets(model)] == ["lora.weight", "b.weight"]
    attach(model, {"lora.weight": 1}).also_train("b")
    assert not model["lora"].bias.requires_grad
    assert model["b"].bias.requires_grad
    detach(model)
    assert untouched(model)


def test_dropout_follows_the_mode_of_the_model(model: nn.Module) -> None:
    x = torch.randn(2, 4, 9)
    adapter = attach(model.eval(), {"stem.weight": 2}, dropout=0.5)
    nn.init.normal_(adapter.factors["stem.weight"].up)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
