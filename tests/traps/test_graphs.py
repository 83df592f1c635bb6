"""What was compiled, traced or exported must not go on with yesterday's weights unnoticed."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolora.lora import attach, detach, disabled, merge
from autolora.testing.stage import FORMS, Form, form, randomise

X = torch.linspace(-1, 1, 18).view(3, 6)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


@pytest.fixture
def compiled(model: nn.Module) -> Iterator[Any]:
    torch._dynamo.reset()
    yield torch.compile(model, backend="eager", fullgraph=True)
    torch._dynamo.reset()


def test_a_compiled_model_sees_every_change(model: nn.Module, compiled: Any) -> None:
    def agrees() -> Tensor:
        answer = model(X)
        torch.testing.assert_close(compiled(X), answer)
        return answer

    base = agrees()
    part = randomise(attach(model, {"0.weight": 2})).factors["0.weight"]
    assert not torch.allclose(agrees(), base)
    part.scale = 3.0
    agrees()
    with torch.no_grad():
        part.up.mul_(2)
    adapted = agrees()
    with disabled(model):
        assert torch.equal(agrees(), base)
    assert torch.equal(agrees(), adapted)
    merge(model).unmerge()
    assert torch.equal(agrees(), adapted)
    randomise(attach(model, {"0.weight": 1}, name="b"), 2)
    agrees()
    detach(model)
    assert torch.equal(agrees(), base)


@pytest.mark.parametrize("product", FORMS)
def test_an_exported_program_holds_the_adapter(model: nn.Module, product: Form) -> None:
    randomise(attach(model, {"0.weight": 2, "2.weight": 1}))
    with form(product):
        answer = model(X)
        program = torch.export.export(model, (X,))
    torch.testing.assert_close(program.module()(X), answer)
    assert "0.lora.weight.default.up" in program.state_dict


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:FutureWarning")
@pytest.mark.parametrize("product", FORMS)
def test_a_trace_holds_the_adapter(model: nn.Module, product: Form) -> None:
    randomise(attach(model, {"0.weight": 2, "2.weight": 1}))
    with form(product):
        answer = model(X)
        traced = torch.jit.trace(model, (X,))
    torch.testing.assert_close(traced(X), answer)


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:FutureWarning")
def test_a_script_is_refused_by_torch(model: nn.Module) -> None:
    attach(model, {"0.weight": 2})
    with pytest.raises(RuntimeError, match="AdaptedWeight"):
        torch.jit.script(model)


def test_an_average_of_weights_keeps_the_adapter(model: nn.Module) -> None:
    randomise(attach(model, {"0.weight": 2}))
    average = torch.optim.swa_utils.AveragedModel(model)
    average.update_parameters(model)
    assert torch.equal(average(X), model(X))
    randomise(attach(model, {"2.weight": 1}, name="b"))
    assert not torch.equal(average(X), model(X))
