"""Whatever puts another tensor in the place of the base is seen; nothing keeps the old one."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import AssignedBase
from autolora.lora import attach, attached
from autolora.testing.stage import randomise


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.LSTM(5, 4))
    randomise(attach(model, {"0.weight": 2, "1.weight_ih_l0[cell]": 2}))
    return model


X = torch.linspace(-1, 1, 18).view(3, 6)


def run(model: nn.Module, x: Tensor = X) -> Tensor:
    return model[1](model[0](x))[0]


@pytest.fixture(params=["replaced", "overwritten"])
def conversion(request: pytest.FixtureRequest) -> Iterator[None]:
    torch.__future__.set_overwrite_module_params_on_conversion(request.param == "replaced")
    yield
    torch.__future__.set_overwrite_module_params_on_conversion(False)


def test_double(model: nn.Module, conversion: None) -> None:
    before = run(model)
    model.double()
    after = run(model, X.double())
    assert after.dtype == torch.float64
    torch.testing.assert_close(after.float(), before)
    assert model[0].weight.base is model[0]._parameters["weight"]
    assert {p.dtype for p in attached(model).parameters()} == {torch.float64}


def test_load_state_dict(model: nn.Module) -> None:
    other = nn.Sequential(nn.Linear(6, 5), nn.LSTM(5, 4))
    result = model.load_state_dict(other.state_dict(), strict=False)
    assert all(".lora." in key for key in result.missing_keys)
    assert result.unexpected_keys == []
    with torch.no_grad():
        for name, target in attached(model).targets.items():
            weight = other.get_submodule(target.layer).get_parameter(target.parameter)
            rows = weight[target.first_row : target.first_row + target.rows]
            rows += attached(model).factors[name].dense()
    torch.testing.assert_close(run(model), run(other))


def test_own_state_dict(model: nn.Module) -> None:
    twin = copy.deepcopy(model)
    randomise(attached(twin), seed=5)
    assert not torch.equal(run(twin), run(model))
    twin.load_state_dict(model.state_dict())
    assert torch.equal(run(twin), run(model))


def test_an_assigned_state_dict_is_refused(model: nn.Module) -> None:
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(
        AssignedBase, match=r"the adapter would be lost; load without assign, or load the base"
    ):
        model.load_state_dict(state, assign=True)


def test_functional_call(model: nn.Module) -> None:
    layer = model[0]
    part = attached(model).factors["0.weight"]
    zeros = {"weight": torch.zeros(5, 6), "bias": torch.zeros(5)}
    found = torch.func.functional_call(layer, zeros, (X,))
    torch.testing.assert_close(found, X @ part.dense().T)
    state = {"lora.weight.default.up": torch.zeros_like(part.up)}
    found = torch.func.functional_call(layer, state, (X,))
    base, bias = layer._parameters["weight"], layer.bias
    torch.testing.assert_close(found, nn.functional.linear(X, base, bias))


def test_gradients_through_functional_call(model: nn.Module) -> None:
    layer = model[0]

    def loss(factors: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, factors, (X,)).square().sum()

    factors = {n: p.detach() for n, p in layer.named_parameters() if ".default." in n}
    found = torch.func.grad(loss)(factors)
    torch.autograd.backward(layer(X).square().sum())
    wanted = {n: p.grad for n, p in layer.named_parameters() if n in factors}
    assert len(found) == 2
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name])
