"""Attaching, reading and detaching: what is given back, and every sentence of what is refused."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import (
    AdapterName,
    AutoloraError,
    NoSuchTarget,
    NotAttached,
    NothingToTrain,
    RankTooHigh,
    UsageError,
)
from autolora.lora import Allocation, adapters, attach, attached, detach, merge, targets
from autolora.testing.stage import randomise

RANKS = {"head.weight": 2, "blocks.1.in_proj_weight[value]": 3}


def test_what_is_given_back(model: nn.Module) -> None:
    adapter = attach(model, {**RANKS, "stem.weight": 0}, scale=0.5)
    assert adapter.allocation == RANKS
    assert set(adapter.targets) == set(adapter.factors) == set(RANKS)
    assert adapter.scales == dict.fromkeys(RANKS, 0.5)
    assert adapters(model) == ("default",)
    shapes = [tuple(p.shape) for p in adapter.parameters()]
    assert sorted(shapes) == [(2, 8), (3, 2), (3, 8), (8, 3)]
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == {id(p) for p in adapter.parameters()}


def test_read_again(model: nn.Module) -> None:
    adapter = attach(model, RANKS, scale=0.5).also_train("stem")
    again = attached(model)
    assert again.factors == adapter.factors
    assert (again.also, again.targets, again.scales) == (
        adapter.also, adapter.targets, adapter.scales,
    )  # fmt: skip


def test_rank_0_everywhere_freezes_and_gives_back(model: nn.Module) -> None:
    adapter = attach(model, Allocation())
    assert list(adapter.parameters()) == []
    assert not any(p.requires_grad for p in model.parameters())
    assert attached(model).allocation == {}
    detach(model)
    assert all(p.requires_grad for p in model.parameters())


def test_a_head_in_full(model: nn.Module, x: Tensor) -> None:
    adapter = attach(model, {"stem.weight": 1}).also_train("head", "blocks.2.out_proj")
    assert set(adapter.also) == {
        "head.weight", "head.bias", "blocks.2.out_proj.weight", "blocks.2.out_proj.bias",
    }  # fmt: skip
    torch.autograd.backward(model(x).sum())
    for parameter in model.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
    with torch.no_grad():
        model.head.bias.fill_(7)
    detach(model)
    assert model.head.bias.eq(7).all()
    assert all(p.requires_grad for p in model.parameters())


def test_a_head_in_full_that_has_a_delta_too(model: nn.Module, x: Tensor) -> None:
    adapter = randomise(attach(model, {"head.weight": 1}).also_train("head"))
    assert set(adapter.also) == {"head.weight", "head.bias"}
    torch.autograd.backward(model(x).sum())
    assert model.head.weight.base.grad is not None
    assert all(p.grad is not None for p in adapter.parameters())


@pytest.mark.parametrize("init", ["kaiming", "gaussian"])
def test_reset_starts_anew(model: nn.Module, x: Tensor, init: str) -> None:
    base = model(x)
    adapter = randomise(attach(model, Allocation.uniform(targets(model), 2)))
    downs = [part.down.clone() for part in adapter.factors.values()]
    adapter.reset(init)
    torch.testing.assert_close(model(x), base)
    for part, down in zip(adapter.factors.values(), downs, strict=True):
        assert not part.up.any()
        assert not torch.equal(part.down, down)
        assert part.down.requires_grad


@pytest.mark.parametrize(("init", "deviation"), [("kaiming", 3**-0.5), ("gaussian", 1.0)])
def test_the_spread_of_a_fresh_down(init: str, deviation: float) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4096, 64)
    part = attach(layer, {"weight": 8}).reset(init).factors["weight"]
    assert part.down.std().item() == pytest.approx(deviation / 4096**0.5, rel=0.02)


Act = Callable[[nn.Module], object]
REFUSED: dict[str, tuple[Act, type[AutoloraError], str]] = {
    "no such target": (
        lambda m: attach(m, {"haed.weight": 1, "stem.weight": 1}),
        NoSuchTarget,
        'no target matches "haed.weight"; nearest: head.weight',
    ),
    "a layer is no target": (lambda m: attach(m, {"head": 1}), NoSuchTarget, 'matches "head"'),
    "a bias is no target": (
        lambda m: attach(m, {"head.bias": 1}),
        NoSuchTarget,
        'no target matches "head.bias"; nearest: head.weight',
    ),
    "no such block": (
        lambda m: attach(m, {"blocks.0.in_proj_weight[quary]": 1}),
        NoSuchTarget,
        "nearest: blocks.0.in_proj_weight[",
    ),
    "rank": (
        lambda m: attach(m, {"stem.weight": 1, "head.weight": 4}),
        RankTooHigh,
        "rank 4 at head.weight exceeds what its 3 × 8 matrix can have; ranks here are 0 to 3",
    ),
    "no rank": (
        lambda m: attach(m, {"head.weight": 1.5}),  # type: ignore[dict-item]
        UsageError,
        "rank 1.5 at head.weight is no rank; ranks are integers from 0",
    ),
    **{
        f'name "{name}"': (
            lambda m, name=name: attach(m, {"head.weight": 1}, name=name),
            AdapterName,
            f'"{name}" cannot name an adapter; use up to 64 letters, digits, "-" and "_" ',
        )
        for name in ("", "a.b", "a b", "a[b]", "-a", "ü", "x" * 65, "training", "forward", "rank")
    },
    "nothing to detach": (
        detach,
        NotAttached,
        "the model carries no adapter to detach; attach one with autolora.attach(model, …)",
    ),
    "nothing to merge": (merge, NotAttached, "the model carries no adapter to merge; attach one"),
    "nothing to read": (attached, NotAttached, 'carries no adapter to read under the name "defau'),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_why_and_does_nothing(
    case: tuple[Act, type[AutoloraError], str], model: nn.Module, x: Tensor
) -> None:
    act, error, sentence = case
    before, state = model(x), [dict(vars(m)) for m in model.modules()]
    with pytest.raises(error) as refusal:
        act(model)
    assert sentence in str(refusal.value)
    assert refusal.value.exit_code == 2
    assert torch.equal(model(x), before)
    assert [vars(m).keys() for m in model.modules()] == [s.keys() for s in state]
    assert all(p.requires_grad for p in model.parameters())


def test_a_name_that_is_taken(model: nn.Module) -> None:
    attach(model, {"head.weight": 1}, name="a")
    with pytest.raises(AdapterName) as error:
        attach(model, {"stem.weight": 1}, name="a")
    assert str(error.value) == (
        'the model already carries an adapter named "a"; '
        "choose another name or call autolora.detach(model) first"
    )
    assert attached(model, "a").allocation == {"head.weight": 1}


def test_a_name_that_is_not_there(model: nn.Module) -> None:
    attach(model, {"head.weight": 1}, name="a")
    with pytest.raises(NotAttached, match=r'to detach under the name "b"'):
        detach(model, "b")
    with pytest.raises(NotAttached, match=r'to read under the name "b"'):
        attached(model, "b")
    assert adapters(model) == ("a",)


def test_modules_to_train_that_are_not_there(model: nn.Module) -> None:
    adapter = attach(model, {"stem.weight": 1})
    with pytest.raises(NoSuchTarget, match=r'matches "haed"; nearest: head'):
        adapter.also_train("head", "haed")
    with pytest.raises(NothingToTrain, match=r'^module "act" holds no parameters to train; name'):
        adapter.also_train("head", "act")
    assert adapter.also == {}
    assert not model.head.weight.requires_grad


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_adapters_leave_in_any_order(model: nn.Module, x: Tensor, order: tuple[str, str]) -> None:
    base = model(x)
    ranks = {"a": RANKS, "b": {"head.weight": 1, "stem.weight": 2}}
    for name, allocation in ranks.items():
        randomise(attach(model, allocation, name=name))
    first, last = order
    detach(model, first)
    assert adapters(model) == (last,)
    assert attached(model, last).allocation == ranks[last]
    assert not model.head.weight.base.requires_grad
    detach(model, last)
    assert all(p.requires_grad for p in model.parameters())
    torch.testing.assert_close(model(x), base, atol=0, rtol=0)


def test_flags_of_a_model_that_was_partly_frozen(model: nn.Module) -> None:
    model.stem.requires_grad_(False)
    flags = [p.requires_grad for p in model.parameters()]
    for act in (detach, merge):
        attach(model, RANKS).also_train("stem")
        act(model)
        assert [p.requires_grad for p in model.parameters()] == flags


def test_an_unknown_init_is_refused() -> None:
    adapter = attach(nn.Sequential(nn.Linear(4, 3)), {"0.weight": 1})
    with pytest.raises(UsageError, match='no init called "gausian"; there are kaiming, gaussian'):
        adapter.reset("gausian")


def test_the_first_adapter_of_a_process_is_drawn_as_every_other():
    """Nothing that is imported on the way may draw from torch's generator."""
    code = """
import torch
from autolora.lora import attach

def drawn():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3))
    torch.manual_seed(0)
    return next(p for p in attach(model, {"0.weight": 2}).parameters() if p.any())

print(torch.equal(drawn(), drawn()))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "True"
