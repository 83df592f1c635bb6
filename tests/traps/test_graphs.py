"""What was compiled, traced or exported must not go on with yesterday's weights unnoticed."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from autolora.lora import attach, detach, disabled, merge
from autolora.lora.views.linear import ReadsWeight
from autolora.testing.stage import FORMS, Form, form, randomise

X = torch.linspace(-1, 1, 18).view(3, 6)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compile_whole(model: nn.Module) -> Any:
    return torch.compile(model, backend="eager", fullgraph=True)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_compiled_model_sees_every_change(model: nn.Module, *, frozen: bool) -> None:
    """Torch itself does not look: a weight that gets a shadow fails no guard of a graph."""
    model.requires_grad_(not frozen)
    compiled = compile_whole(model)

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
    randomise(attach(model, {"0.weight": 1, "2.weight": 1}, name="b"), 2)
    assert not torch.equal(agrees(), adapted)
    merged = merge(model)
    agrees()
    merged.unmerge()
    agrees()
    detach(model)
    assert torch.equal(agrees(), base)


def test_graphs_of_both_kinds_are_kept(model: nn.Module) -> None:
    """A distillation step asks the base and the adapted model in turn, and compiles each once."""
    counter = CompileCounter()
    randomise(attach(model, {"0.weight": 2}))
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for _ in range(4):
        torch.testing.assert_close(compiled(X), model(X))
        with disabled(model):
            torch.testing.assert_close(compiled(X), model(X))
    assert counter.frame_count == 2


def test_one_graph_is_not_taken_for_another_models(model: nn.Module) -> None:
    """Graphs are kept by code, not by model: that of a plain twin fits an adapted one."""
    twin = copy.deepcopy(model).requires_grad_(False)
    randomise(attach(model, {"2.weight": 2}))
    base = compile_whole(twin)(X)
    torch.testing.assert_close(compile_whole(model)(X), model(X))
    assert not torch.allclose(model(X), base)
    torch.testing.assert_close(compile_whole(twin)(X), twin(X))


def test_a_parent_that_only_reads_the_weight() -> None:
    model = ReadsWeight().requires_grad_(False)
    compiled = compile_whole(model)
    base = compiled(X)
    randomise(attach(model, {"inner.weight": 2}))
    torch.testing.assert_close(compiled(X), model(X))
    assert not torch.allclose(compiled(X), base)


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
