"""Resizing: every target keeps its best lower rank, and the errors told are the errors made."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import autolora
from autolora import Adapter
from autolora.errors import (
    NeedsBase,
    NotAttached,
    NotFinite,
    NothingFits,
    NotOneSize,
    OutOfRange,
)
from autolora.lora import attached, views
from autolora.lora.active import activate
from autolora.lora.example import Example
from autolora.testing.stage import adapted, attach_everywhere, close, randomise, same, stage

# What torch says of some layers, adapted or not.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The PyTorch API of nested tensors",
    "ignore:enable_nested_tensor is True",
    "ignore:Using padding='same' with even kernel",
)

EXAMPLES = {e.name: e for view in views.all_views() for e in view.EXAMPLES}
Make = Callable[[], nn.Module]


def dense(adapter: Adapter) -> dict[str, Tensor]:
    return {
        name: adapter.scales[name] * (up.double() @ down.double())
        for name, (up, down) in adapter.factors.items()
    }


def best(delta: Tensor, rank: int) -> Tensor:
    left, values, right = torch.linalg.svd(delta, full_matrices=False)
    return left[:, :rank] * values[:rank] @ right[:rank]


def checked(before: Adapter, made: Any) -> None:
    """Every delta is the best of its rank, and the errors are those measured on dense matrices."""
    deltas, lower = dense(before), dense(made.adapter)
    lost = total = 0.0
    for name, delta in deltas.items():
        rank = made.adapter.allocation.get(name, 0)
        kept = lower.get(name, torch.zeros_like(delta))
        torch.testing.assert_close(kept, best(delta, rank), atol=1e-10, rtol=1e-10)
        off = float((delta - kept).norm())
        assert made.errors[name] == pytest.approx(off / float(delta.norm()), abs=1e-9)
        lost, total = lost + off**2, total + float(delta.norm()) ** 2
    assert made.error == pytest.approx(math.sqrt(lost / total), abs=1e-9)
    for up, down in made.adapter.factors.values():
        torch.testing.assert_close(up.norm(dim=0), down.norm(dim=1))
    assert set(made.adapter.scales.values()) <= {1.0}
    assert set(made.adapter.targets) == set(made.adapter.factors) == set(made.adapter.scales)


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


@pytest.mark.parametrize("how", ["rank", "parameters", "energy"])
def test_resizing_at_every_layer(example: Example, how: str) -> None:
    made = stage(example, "eval")
    randomise(attach_everywhere(made.model, rank=3))
    before = Adapter.capture(made.model)
    budget = max(before.parameters // 2, *(t.cost for t in before.targets.values()), 0)
    wanted = {"rank": 1, "energy": 0.9, "parameters": budget}[how]
    resized = autolora.resize(before, **{how: wanted})
    checked(before, resized)
    assert autolora.resize(made.model, **{how: wanted}).errors == resized.errors
    plain = stage(example, "eval")
    resized.adapter.attach_to(plain.model)
    close(made.answer(), plain.answer())
    assert Adapter.capture(made.model).digest == resized.adapter.digest
    if how == "parameters":
        assert resized.adapter.parameters <= wanted
    if how == "rank":
        assert set(resized.adapter.allocation.values()) == {1}
    if how == "energy":
        assert all(error**2 <= 0.1 + 1e-12 for error in resized.errors.values())


def test_a_rank_above_that_of_a_delta_changes_nothing() -> None:
    before = Adapter.capture(adapted(EXAMPLES["decoder_layer"], "eval").model)
    resized = autolora.resize(before, rank=8)
    assert resized.adapter.allocation == before.allocation
    assert resized.error == 0
    for name, delta in dense(resized.adapter).items():
        torch.testing.assert_close(delta, dense(before)[name], atol=1e-12, rtol=1e-12)


def test_negative_scales_and_directions_of_zero() -> None:
    model = nn.Sequential(nn.Linear(9, 7)).double()
    adapter = randomise(autolora.attach(model, {"0.weight": 4}, scale=-0.6))
    with torch.no_grad():
        adapter.factors["0.weight"].up[:, 2:] = 0
    before = Adapter.capture(model)
    resized = autolora.resize(before, rank=4)
    assert resized.adapter.allocation == {"0.weight": 2}
    checked(before, resized)


def test_a_target_without_a_delta_leaves_the_adapter() -> None:
    model = nn.Sequential(nn.Linear(9, 7), nn.Linear(7, 3)).double()
    adapter = autolora.attach(model, {"0.weight": 2, "1.weight": 2})
    nn.init.normal_(adapter.factors["0.weight"].up)
    keys = list(nn.Linear(7, 3).state_dict())
    resized = autolora.resize(model, energy=1.0)
    assert resized.adapter.allocation == {"0.weight": 2}
    assert resized.errors == {"0.weight": 0.0, "1.weight": 0.0}
    assert list(model[1].state_dict()) == keys
    assert "weight" not in model[1].__dict__
    assert not hasattr(model[1], "lora")
    assert attached(model).allocation == {"0.weight": 2}


def test_a_fresh_adapter_is_none_at_all() -> None:
    model = nn.Sequential(nn.Linear(9, 7))
    before = list(model.state_dict())
    autolora.attach(model, {"0.weight": 2})
    resized = autolora.resize(model, rank=1)
    assert (resized.adapter.allocation, resized.error) == (autolora.Allocation(), 0.0)
    assert list(model.state_dict()) == before


def test_in_place_everything_else_stays(base: Make, trained: nn.Module, x: Tensor) -> None:
    model = trained
    randomise(autolora.attach(model, {"features.0.weight": 2}, name="other"), seed=4)
    for part in attached(model).factors.values():
        part.dropout = 0.25
    for part in attached(model, "other").factors.values():
        part.requires_grad_(False)
    activate(model, {"default": 0.5, "other": 1.0})
    adapter, state = attached(model), copy.deepcopy(base().state_dict())
    other = Adapter.capture(model, "other").digest
    head = model.get_parameter("head.weight").clone()
    autolora.resize(model, rank=1)
    assert {part.rank for part in adapter.factors.values()} == {1}
    assert {part.share for part in adapter.factors.values()} == {0.5}
    assert {part.dropout for part in adapter.factors.values()} == {0.25}
    assert Adapter.capture(model, "other").digest == other
    assert not any(
        p.requires_grad for p in attached(model, "other").factors["features.0.weight"].parameters()
    )
    assert torch.equal(model.get_parameter("head.weight"), head)
    assert set(attached(model).also) == {"head.weight", "head.bias"}
    model(x).sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())
    autolora.detach(model)
    for name in state:
        if not name.startswith("head"):
            assert torch.equal(model.state_dict()[name], state[name]), name


def test_an_adapter_that_is_not_trained_stays_so(trained: nn.Module) -> None:
    attached(trained).requires_grad_(False)
    autolora.resize(trained, rank=1)
    assert not any(p.requires_grad for p in trained.parameters())


def test_another_name_on_a_model(trained: nn.Module) -> None:
    randomise(autolora.attach(trained, {"features.0.weight": 3}, name="other"))
    before = Adapter.capture(trained)
    assert autolora.resize(trained, rank=1, name="other").adapter.allocation == {
        "features.0.weight": 1
    }
    assert attached(trained, "other").allocation == {"features.0.weight": 1}
    assert Adapter.capture(trained).digest == before.digest
    with pytest.raises(NotAttached):
        autolora.resize(trained, rank=1, name="nobody")


def test_a_folder_is_read_without_its_model(
    base: Make, trained: nn.Module, x: Tensor, tmp_path: Path
) -> None:
    about = {"title": "T", "metrics": {"accuracy": {"value": 1.0, "low": 1.0, "high": 1.0}}}
    autolora.save(trained, tmp_path / "a", about=about)
    files = {f.name: f.read_bytes() for f in (tmp_path / "a").iterdir()}
    resized = autolora.resize(tmp_path / "a", rank=1)
    assert {f.name: f.read_bytes() for f in (tmp_path / "a").iterdir()} == files
    assert resized.adapter.about == {"title": "T"}, "the metrics are those of another adapter"
    autolora.save(resized.adapter, tmp_path / "b")
    model = base()
    autolora.load(model, tmp_path / "b")
    autolora.resize(trained, rank=1)
    assert torch.equal(model(x), trained(x))
    with pytest.warns(UserWarning, match="peft cannot express"):
        autolora.save(trained, tmp_path / "peft", format="peft")
    with pytest.raises(NeedsBase):
        autolora.resize(tmp_path / "peft", rank=1)


def test_factors_keep_their_type_and_half_precision_is_widened() -> None:
    model = nn.Sequential(nn.Linear(9, 7)).double()
    randomise(autolora.attach(model, {"0.weight": 3}))
    adapter = Adapter.capture(model)
    for dtype, wanted in (
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ):
        stored = {n: (u.to(dtype), d.to(dtype)) for n, (u, d) in adapter.factors.items()}
        made = autolora.resize(replace(adapter, factors=stored), rank=2).adapter
        assert {f.dtype for pair in made.factors.values() for f in pair} == {wanted}


def test_numbers_that_cannot_be(trained: nn.Module) -> None:
    adapter = Adapter.capture(trained)
    with pytest.raises(NotOneSize, match="here is none"):
        autolora.resize(adapter)
    with pytest.raises(NotOneSize, match=r"here is rank 2 and energy 0\.5"):
        autolora.resize(adapter, rank=2, energy=0.5)
    for wrong in ({"rank": 0}, {"rank": 1.5}, {"parameters": -1}, {"energy": 0.0}, {"energy": 1.1}):
        with pytest.raises(OutOfRange, match="cannot be; give"):
            autolora.resize(adapter, **wrong)  # type: ignore[arg-type]
    with pytest.raises(OutOfRange):
        autolora.resize(adapter, energy=math.nan)
    with pytest.raises(
        NothingFits, match=r"the cheapest, at memory\.weight_hh_l0\[input\], costs 10"
    ):
        autolora.resize(adapter, parameters=9)
    assert autolora.resize(adapter, parameters=10).adapter.parameters == 10
    adapter.factors["features.0.weight"][0][0, 0] = math.nan
    with pytest.raises(NotFinite, match=r"^features\.0\.weight"):
        autolora.resize(adapter, rank=1)


def test_a_wrong_number_leaves_the_model_alone(trained: nn.Module, x: Tensor) -> None:
    before = trained(x)
    with pytest.raises(NothingFits):
        autolora.resize(trained, parameters=1)
    same([trained(x)], [before])


@pytest.mark.slow
def test_a_compiled_model_sees_the_smaller_adapter() -> None:
    made = stage(EXAMPLES["linear_wide"], "eval", torch.float32)
    randomise(attach_everywhere(made.model, rank=3))
    fast = torch.compile(made.model, backend="eager")
    before = made.of(fast).answer()
    autolora.resize(made.model, rank=1)
    close(made.of(fast).answer(), made.answer(), 1e-5)
    assert not torch.allclose(before[0], made.answer()[0])
