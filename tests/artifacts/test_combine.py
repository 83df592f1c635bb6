"""Combining adapters: the result equals the dense formula, at every layer type."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import autolora
from autolora import Adapter, Allocation
from autolora.errors import (
    DifferentBases,
    NeedsBase,
    NoAdapter,
    NoProbability,
    NotFinite,
    NothingToCombine,
    OutOfRange,
    TrainedTwice,
)
from autolora.lora import views
from autolora.lora.example import Example
from autolora.testing.stage import add_dense, close, differ, randomise, stage

# What torch says of some layers, adapted or not.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The PyTorch API of nested tensors",
    "ignore:enable_nested_tensor is True",
    "ignore:Using padding='same' with even kernel",
)

EXAMPLES = {e.name: e for view in views.all_views() for e in view.EXAMPLES}
WEIGHTS = (0.6, -1.4)
Make = Callable[[], nn.Module]


def dense(adapter: Adapter) -> dict[str, Tensor]:
    return {
        name: adapter.scales[name] * (up.double() @ down.double())
        for name, (up, down) in adapter.factors.items()
    }


def equal(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float = 1e-12) -> None:
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=tolerance, rtol=tolerance)


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


def two(example: Example) -> tuple[Adapter, Adapter]:
    """Two adapters of unequal ranks and scales; the second leaves out every third target."""
    made = []
    for number, (rank, scale) in enumerate(((2, 0.7), (3, 1.9))):
        model = stage(example, "eval").model
        chosen = autolora.targets(model)
        if number:
            chosen = tuple(t for i, t in enumerate(chosen) if i % 3 != 2)
        ranks = Allocation.uniform(chosen, rank)
        randomise(autolora.attach(model, ranks, scale=scale), seed=number)
        made.append(Adapter.capture(model))
    return made[0], made[1]


def summed(adapters: tuple[Adapter, ...], weights: tuple[float, ...]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for adapter, weight in zip(adapters, weights, strict=True):
        for name, delta in dense(adapter).items():
            found[name] = found.get(name, 0) + weight * delta
    return found


def test_a_stack_is_the_sum_at_every_layer(example: Example) -> None:
    adapters = two(example)
    made = autolora.stack(list(zip(adapters, WEIGHTS, strict=True)))
    equal(dense(made), summed(adapters, WEIGHTS))
    for name, rank in made.allocation.items():
        ranks = sum(a.allocation.get(name, 0) for a in adapters)
        assert rank == min(ranks, made.targets[name].max_rank)
    stacked, plain = stage(example, "eval"), stage(example, "eval")
    made.attach_to(stacked.model)
    before = plain.answer()
    for adapter, weight in zip(adapters, WEIGHTS, strict=True):
        alone = adapter.attach_to(stage(example, "eval").model)
        for part in alone.factors.values():
            part.scale *= weight
        add_dense(plain.model, alone)
    assert differ(plain.answer(), before)
    close(stacked.answer(), plain.answer())


def test_a_stack_does_not_depend_on_order() -> None:
    a, b = two(EXAMPLES["lstm"])
    equal(dense(autolora.stack([(a, 2.0), (b, 0.5)])), dense(autolora.stack([(b, 0.5), (a, 2.0)])))


def test_one_alone_keeps_its_factors_and_takes_the_weight_into_the_scale() -> None:
    adapter = two(EXAMPLES["lstm"])[0]
    made = autolora.stack([(adapter, -0.5)])
    for name, (up, down) in adapter.factors.items():
        assert torch.equal(made.factors[name][0], up)
        assert torch.equal(made.factors[name][1], down)
        assert made.scales[name] == -0.5 * adapter.scales[name]


def test_a_weight_of_zero_leaves_an_adapter_out(base: Make, trained: nn.Module) -> None:
    model = base()
    randomise(autolora.attach(model, {"features.0.weight": 1}))
    other, whole = Adapter.capture(model), Adapter.capture(trained)
    made = autolora.stack([(other, 1.0), (whole, 0.0)])
    assert made.allocation == {"features.0.weight": 1}
    assert not made.full


def test_the_whole_stack_survives_a_file(base: Make, trained: nn.Module, tmp_path: Path) -> None:
    model = base()
    randomise(autolora.attach(model, {"features.0.weight": 1, "features.2.weight": 3}), seed=5)
    autolora.save(model, tmp_path / "a")
    autolora.save(trained, tmp_path / "b")
    made = autolora.stack({tmp_path / "a": 0.3, str(tmp_path / "b"): 0.9})
    autolora.save(made, tmp_path / "c")
    stacked, wanted = base(), base()
    autolora.load(stacked, tmp_path / "c")  # the fingerprint of the base holds as well
    autolora.load(wanted, tmp_path / "a", name="a")
    autolora.load(wanted, tmp_path / "b", name="b")
    for part, weight in (("a", 0.3), ("b", 0.9)):
        for factors in autolora.lora.attached(wanted, part).factors.values():
            factors.scale *= weight
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(stacked(x), wanted(x), atol=1e-5, rtol=1e-5)
    assert made.base == Adapter.capture(trained).base
    assert set(made.layers) >= {"features.0", "features.2", "memory", "head"}


def test_parameters_trained_in_full_come_from_one_or_from_several_that_agree(
    base: Make, trained: nn.Module
) -> None:
    whole = Adapter.capture(trained)
    again = autolora.stack([(whole, 0.5), (whole, 0.5)])
    assert set(again.full) == set(whole.full) == {"head.weight", "head.bias"}
    assert torch.equal(again.full["head.weight"], whole.full["head.weight"])
    equal(dense(again), dense(whole), 1e-6)
    other = replace(whole, full={**whole.full, "head.bias": whole.full["head.bias"] + 1})
    for combine in (
        autolora.stack,
        lambda a: autolora.ties(a, density=1.0),
        lambda a: autolora.dare(a, p=0.0),
    ):
        with pytest.raises(TrainedTwice, match=r"^head\.bias was trained in full in several"):
            combine([whole, other])


def test_adapters_of_different_bases_are_refused(base: Make, trained: nn.Module) -> None:
    whole = Adapter.capture(trained)
    model = base()
    with torch.no_grad():
        model.get_parameter("features.0.weight").mul_(1.5)
    autolora.attach(model, {"features.0.weight": 1}).also_train("head")
    with pytest.raises(DifferentBases, match="the values differ"):
        autolora.stack([whole, Adapter.capture(model)])
    smaller = nn.Sequential(nn.Linear(4, 3))
    autolora.attach(smaller, {"0.weight": 1})
    with pytest.raises(DifferentBases, match="only one has a parameter"):
        autolora.stack([whole, Adapter.capture(smaller)])
    wider = nn.Sequential(nn.Linear(5, 3))
    autolora.attach(wider, {"0.weight": 1})
    narrow = Adapter.capture(smaller)
    with pytest.raises(DifferentBases, match=re.escape("0.weight is (3, 4) and (3, 5)")):
        autolora.stack([narrow, Adapter.capture(wider)])
    with pytest.raises(DifferentBases, match=re.escape("0.weight is 3 × 4 and 3 × 5")):
        autolora.stack([replace(narrow, base=None), replace(Adapter.capture(wider), base=None)])


def test_bases_that_leave_out_different_parameters_have_no_common_fingerprint(base: Make) -> None:
    adapters = []
    for module in ("head", "features.1"):
        model = base()
        autolora.attach(model, {"features.0.weight": 1}).also_train(module)
        adapters.append(Adapter.capture(model))
    made = autolora.stack(adapters)
    assert made.base is None
    assert len(made.full) == 4


def test_words_that_cannot_be(base: Make, trained: nn.Module, tmp_path: Path) -> None:
    adapter = Adapter.capture(trained)
    with pytest.raises(NothingToCombine):
        autolora.stack([])
    with pytest.raises(NothingToCombine):
        autolora.stack([(adapter, 0.0)])
    with pytest.raises(OutOfRange, match="the weight nan"):
        autolora.stack([(adapter, math.nan)])
    for density in (0.0, 1.1, math.nan):
        with pytest.raises(OutOfRange, match="density"):
            autolora.ties([adapter], density=density)
    with pytest.raises(OutOfRange, match="scale inf"):
        autolora.ties([adapter], density=0.5, scale=math.inf)
    for p in (-0.1, 1.0, math.nan):
        with pytest.raises(NoProbability):
            autolora.dare([adapter], p=p)
    with pytest.raises(OutOfRange, match="rank 0"):
        autolora.dare([adapter], p=0.5, rank=0)
    with pytest.raises(NoAdapter):
        autolora.stack(tmp_path / "none")
    with pytest.warns(UserWarning, match="peft cannot express"):
        autolora.save(trained, tmp_path / "peft", format="peft")
    with pytest.raises(NeedsBase, match="in the format peft"):
        autolora.stack(tmp_path / "peft")
    adapter.factors["features.0.weight"][0][0, 0] = math.inf
    with pytest.raises(NotFinite, match=r"^features\.0\.weight"):
        autolora.stack([adapter])


def elected(deltas: list[Tensor], weights: list[float], density: float) -> Tensor:
    """TIES of one matrix, element by element, as section 3 of the paper tells it."""
    kept = []
    for delta in deltas:
        count = max(1, round(density * delta.numel()))
        least = delta.abs().flatten().sort(descending=True)[0][count - 1]
        kept.append(torch.where(delta.abs() >= least, delta, 0.0))
    found = torch.zeros_like(deltas[0])
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            values = [w * float(k[i, j]) for w, k in zip(weights, kept, strict=True)]
            sign = math.copysign(1, sum(values)) if sum(values) else 0
            agree = [(v, w) for v, w in zip(values, weights, strict=True) if v * sign > 0]
            if agree:
                found[i, j] = sum(v for v, _ in agree) / sum(abs(w) for _, w in agree)
    return found


@pytest.mark.parametrize("density", [0.3, 1.0])
def test_ties_equals_the_paper(example: Example, density: float) -> None:
    adapters = two(example)
    given = list(zip(adapters, (0.6, 1.4), strict=True))
    merged = autolora.ties(given, density=density, scale=1.3)
    wanted = {}
    for name in adapters[0].targets:
        have = [(dense(a)[name], w) for a, w in given if name in a.factors]
        wanted[name] = 1.3 * elected([d for d, _ in have], [w for _, w in have], density)
    equal(dense(merged.adapter), wanted)
    assert merged.error == 0
    assert set(merged.errors.values()) == {0.0}
    assert merged.adapter.attach_to(stage(example, "eval").model).allocation


def test_ties_lets_the_stronger_sign_win() -> None:
    def one(values: list[float]) -> Adapter:
        model = nn.Sequential(nn.Linear(4, 1)).double()
        with torch.no_grad():
            nn.init.zeros_(model.get_parameter("0.weight"))
            nn.init.zeros_(model.get_parameter("0.bias"))
        adapter = autolora.attach(model, {"0.weight": 1})
        with torch.no_grad():
            adapter.factors["0.weight"].up.fill_(1)
            adapter.factors["0.weight"].down.copy_(torch.tensor([values]))
        return Adapter.capture(model)

    given = [one([3, 1, -2, 0.1]), one([1, -4, -2, 0.2]), one([-1, -1, 2, 0.0])]
    merged = autolora.ties(given, density=0.75).adapter
    wanted = torch.tensor([[2.0, -2.5, -2.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(dense(merged)["0.weight"], wanted)
    against = autolora.ties([(given[0], 1.0), (given[1], -1.0)], density=1.0).adapter
    wanted = torch.tensor([[3.0, 2.5, 0.0, -0.2]], dtype=torch.float64)
    torch.testing.assert_close(dense(against)["0.weight"], wanted)


def test_dare_equals_the_paper(example: Example) -> None:
    adapters = two(example)
    given = list(zip(adapters, WEIGHTS, strict=True))
    merged = autolora.dare(given, p=0.4, seed=3)
    generator = torch.Generator().manual_seed(3)
    wanted = {}
    for name in sorted(adapters[0].targets):
        for adapter, weight in given:
            if name in adapter.factors:
                delta = dense(adapter)[name]
                drawn = torch.rand(delta.shape, generator=generator, dtype=torch.float64)
                rescaled = torch.where(drawn < 0.4, 0.0, delta / 0.6)
                wanted[name] = wanted.get(name, 0) + weight * rescaled
    equal(dense(merged.adapter), {n: d for n, d in wanted.items() if d.any()})
    assert merged.error == 0


def test_dare_is_the_sum_of_deltas_on_average() -> None:
    adapters = two(EXAMPLES["linear"])
    wanted = summed(adapters, WEIGHTS)["weight"]
    given = list(zip(adapters, WEIGHTS, strict=True))
    drawn = [dense(autolora.dare(given, p=0.5, seed=s).adapter)["weight"] for s in range(400)]
    mean, spread = torch.stack(drawn).mean(0), torch.stack(drawn).std(0) / 20
    assert not torch.equal(drawn[0], drawn[1])
    assert ((mean - wanted).abs() < 5 * spread).all()
    equal(dense(autolora.dare(given, p=0.0).adapter), summed(adapters, WEIGHTS))


@pytest.mark.parametrize(
    "merge",
    [
        lambda a, r: autolora.ties(a, density=0.4, rank=r),
        lambda a, r: autolora.dare(a, p=0.4, rank=r),
    ],
)
def test_a_lower_rank_tells_what_it_lost(merge: Callable) -> None:  # type: ignore[type-arg]
    adapters = two(EXAMPLES["encoder_layer"])
    exact, low = merge(adapters, None), merge(adapters, 2)
    assert set(low.adapter.allocation.values()) <= {1, 2}
    lost = total = 0.0
    for name, delta in dense(exact.adapter).items():
        off = float((delta - dense(low.adapter)[name]).norm())
        assert low.errors[name] == pytest.approx(off / float(delta.norm()), abs=1e-9)
        lost, total = lost + off**2, total + float(delta.norm()) ** 2
    assert low.error == pytest.approx(math.sqrt(lost / total), rel=1e-9)
    assert low.error > 0.1
