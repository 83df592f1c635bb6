"""A recurrent layer keeps a list of its weights: it must never hold yesterday's."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from autolora.lora import Allocation, attach, attached, detach, merge, targets
from autolora.testing.stage import add_dense, randomise


@pytest.fixture
def layer() -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(5, 4, num_layers=2, bidirectional=True)


X = torch.linspace(-1, 1, 30).view(3, 2, 5)

CHANGES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "nothing": lambda model: model,
    "deepcopy": copy.deepcopy,
    "double": lambda model: model.double(),
    "float": lambda model: model.double().float(),
    "deepcopy, double": lambda model: copy.deepcopy(model).double(),
}


def run(model: nn.Module) -> Tensor:
    return model(X.to(next(model.parameters()).dtype))[0]


def dense(model: nn.Module, plain: nn.Module) -> Tensor:
    dtype = next(model.parameters()).dtype
    return run(add_dense(copy.deepcopy(plain).to(dtype), attached(model)))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_optimizer_step_is_seen(layer: nn.LSTM, change) -> None:
    plain = copy.deepcopy(layer)
    randomise(attach(layer, Allocation.uniform(targets(layer), 2)))
    run(layer)
    model = change(layer)
    optimizer = torch.optim.SGD(attached(model).parameters(), lr=0.1)
    before = run(model)
    for _ in range(2):
        optimizer.zero_grad()
        torch.autograd.backward(run(model).square().sum())
        optimizer.step()
        torch.testing.assert_close(run(model), dense(model, plain))
    assert not torch.allclose(run(model), before)


def test_the_list_holds_the_parameters_again(layer: nn.LSTM) -> None:
    kept = list(layer._flat_weights)
    randomise(attach(layer, {"weight_hh_l1[forget]": 2}))
    run(layer)
    merged = merge(layer)
    assert all(a is b for a, b in zip(layer._flat_weights, kept, strict=True))
    merged.unmerge()
    detach(layer)
    assert all(a is b for a, b in zip(layer._flat_weights, kept, strict=True))
    assert all(r() is p for r, p in zip(layer._flat_weight_refs, kept, strict=True))


def test_one_gate_alone(layer: nn.LSTM) -> None:
    plain = copy.deepcopy(layer)
    adapter = randomise(attach(layer, {"weight_hh_l1_reverse[output]": 2}))
    weight = layer.weight_hh_l1_reverse.dense() - plain.weight_hh_l1_reverse
    assert weight[:12].abs().max() == 0
    torch.testing.assert_close(weight[12:], next(iter(adapter.factors.values())).dense())


def test_packed_sequences(layer: nn.LSTM) -> None:
    plain = copy.deepcopy(layer)
    adapter = randomise(attach(layer, Allocation.uniform(targets(layer), 2)))
    packed = pack_sequence([X[:, 0], X[:2, 1]])
    torch.testing.assert_close(layer(packed)[0].data, add_dense(plain, adapter)(packed)[0].data)
