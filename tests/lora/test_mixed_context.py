"""What mixed batches do with the active set, copies, dropout, autocast and the compiler."""

import copy
import pickle

import pytest
import torch
from mixed_cases import NAMES, X, close, looped, net, randomised
from torch import Tensor, nn

import autolora
from autolora.errors import NoSuchAdapter
from autolora.lora import attach
from autolora.lora.active import activate


def test_the_active_set_and_its_shares_do_not_count() -> None:
    model = net()
    wanted = looped(model, X, NAMES)
    with activate(model, {"a": 0.25, "d": 2.0}):
        before = model(X)
        with autolora.mixed(model, NAMES):
            close(model(X), wanted)
        with autolora.mixed(model, ["a"] * 4):
            close(model(X), looped(model, X, ["a"] * 4))
        assert torch.equal(model(X), before)


def test_contexts_nest_and_errors_end_them() -> None:
    model, other = net(), ["b", "b", None, "d"]
    before, first, second = model(X), looped(model, X, NAMES), looped(model, X, other)
    with autolora.mixed(model, NAMES):
        with autolora.mixed(model, other):
            close(model(X), second)
            with autolora.mixed(model, ["a"] * 4):
                pass
            close(model(X), second)
        close(model(X), first)
        with pytest.raises(ZeroDivisionError), autolora.mixed(model, other):
            _ = 1 / 0
        with pytest.raises(NoSuchAdapter), autolora.mixed(model, ["z", "a", "a", "a"]):
            pass
        close(model(X), first)
    assert torch.equal(model(X), before)


def test_a_copy_made_inside_is_in_no_mixed_batch() -> None:
    model = net()
    before = model(X)
    with autolora.mixed(model, NAMES):
        copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for other in copies:
        assert torch.equal(other(X), before)


def test_a_changed_factor_is_seen_within_the_context() -> None:
    model = net()
    with torch.no_grad(), autolora.mixed(model, NAMES):
        before = model(X)
        for name, parameter in model.named_parameters():
            if name.endswith("a.up"):
                parameter.mul_(2)
        after = model(X)
    close(after, looped(model, X, NAMES))
    assert not torch.allclose(after[0], before[0])
    close(after[1:], before[1:])


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda: nn.Linear(6, 4), lambda: torch.ones(4, 6)),
        (lambda: nn.Conv1d(4, 6, 3), lambda: torch.ones(4, 4, 5)),
        (lambda: nn.Embedding(9, 4), lambda: torch.ones(4, 3, dtype=torch.long)),
    ],
    ids=["linear", "conv", "embedding"],
)
@pytest.mark.parametrize("grad", [True, False])
def test_inputs_are_dropped_as_each_adapter_says(make, x, grad) -> None:
    torch.manual_seed(0)
    layer, inputs = make(), x()
    for name, rate in (("a", 0.4), ("b", 0.0)):
        randomised(attach(layer, {"weight": 2}, name=name, dropout=rate))
    layer.train()
    with autolora.mixed(layer, ["a", None, "b", "a"]), torch.set_grad_enabled(grad):
        draws = torch.stack([layer(inputs).detach() for _ in range(2000)])
    with autolora.mixed(layer.eval(), ["a", None, "b", "a"]):
        wanted = layer(inputs).detach()
    spread = draws.std(0)
    assert (spread[[0, 3]].flatten(1).amax(1) > 0.1).all()
    assert spread[[1, 2]].abs().max() < 1e-5
    assert ((draws.mean(0) - wanted).abs() <= 5 * spread / 2000**0.5 + 1e-4).all()
    assert not torch.equal(draws[:, 0], draws[:, 3])  # no draw is shared by two samples


@pytest.mark.parametrize("grad", [True, False])
def test_autocast(grad) -> None:
    model = net().float()
    wanted = looped(model, X.float(), NAMES)
    half = torch.autocast("cpu", torch.bfloat16)
    with half, autolora.mixed(model, NAMES), torch.set_grad_enabled(grad):
        found = model(X.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=0.1, atol=0.1)


@pytest.mark.slow
def test_what_is_compiled_is_right_for_every_batch() -> None:
    model = net()
    compiled = torch.compile(model, backend="eager")
    plain = compiled(X)
    for names in (NAMES, NAMES[::-1], ["a"] * 4, [None] * 4):
        with autolora.mixed(model, names):
            found = compiled(X)
        close(found, looped(model, X, names))
    close(compiled(X), plain)

    @torch.compile(backend="eager")
    def inside(x: Tensor) -> Tensor:
        with autolora.mixed(model, NAMES):
            y: Tensor = model(x)
        return y

    close(inside(X), looped(model, X, NAMES))
