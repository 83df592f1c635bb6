"""Mixed batches under gradient checkpointing, with the backward pass inside or after."""

import pytest
import torch
from mixed_cases import NAMES, X, close, gradients, net
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import autolora
from autolora.errors import ForgottenBatch
from autolora.lora.active import activate

SLOPES = torch.arange(12.0).double().view(4, 3).sin()
BOTH = pytest.mark.parametrize("reentrant", [True, False])


def checkpointed(model: nn.Module, *, reentrant: bool, nested: bool = False) -> Tensor:
    def inner(x: Tensor) -> Tensor:
        if not nested:
            return model[1:4](x)
        return checkpoint(model[2:4], model[1](x), use_reentrant=reentrant)

    out: Tensor = model[4](checkpoint(inner, model[0](X), use_reentrant=reentrant))
    return out


def check(model: nn.Module, wanted: dict[str, Tensor | None]) -> None:
    """Gradients are those that are wanted, and not all zero."""
    found = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert any(gradient is not None and gradient.any() for gradient in wanted.values())
    for name, gradient in found.items():
        other = wanted[name]
        if gradient is None or other is None:
            assert gradient is None or not gradient.any(), name
            assert other is None or not other.any(), name
        else:
            close(gradient, other)


@BOTH
def test_checkpoints_inside_the_context_see_it_again(reentrant) -> None:
    model = net()
    with autolora.mixed(model, NAMES):
        wanted = gradients(model, model(X))
        checkpointed(model, reentrant=reentrant).backward(SLOPES)
    check(model, wanted)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # torch's, if nested
@BOTH
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("after", ["nothing", "another batch", "a batch without gradients"])
def test_a_backward_pass_after_the_context_takes_its_adapters(reentrant, nested, after) -> None:
    model = net()
    with autolora.mixed(model, NAMES):
        wanted = gradients(model, model(X))
        out = checkpointed(model, reentrant=reentrant, nested=nested)
    if after != "nothing":
        with autolora.mixed(model, NAMES[::-1]), torch.set_grad_enabled(after == "another batch"):
            model(X)
    out.backward(SLOPES)
    check(model, wanted)


def test_one_adapter_for_all_samples() -> None:
    model = net()
    with autolora.mixed(model, ["b"] * 4):
        wanted = gradients(model, model(X))
        out = checkpointed(model, reentrant=True)
    out.backward(SLOPES)
    check(model, wanted)


@pytest.mark.parametrize("grad", [True, False])
def test_other_checkpoints_are_left_alone(grad) -> None:
    model = net()
    with activate(model, {"a": 0.5, "d": 2.0}):
        wanted = gradients(model, model(X))
        before = checkpointed(model, reentrant=True)
        with autolora.mixed(model, NAMES), torch.set_grad_enabled(grad):
            model(X)
        after = checkpointed(model, reentrant=True)
        before.backward(SLOPES, retain_graph=True)
        check(model, wanted)
        model.zero_grad()
        after.backward(SLOPES)
        check(model, wanted)


def test_what_is_too_long_ago_is_told() -> None:
    model = net()
    with autolora.mixed(model, NAMES):
        out = checkpointed(model, reentrant=True)
    for _ in range(17):
        with autolora.mixed(model, NAMES[::-1]):
            model(X)
    with pytest.raises(ForgottenBatch, match="more than 16 mixed batches after it"):
        out.backward(SLOPES)
