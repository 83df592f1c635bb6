"""Allocations seen on the factors of one run: views, scores, races, moves."""

import pytest
import torch

from autolora.artifacts.adapter import Adapter
from autolora.lora.allocation import Allocation
from autolora.lora.attach import attach
from autolora.nested.adapters import cut, rebased
from autolora.nested.candidates import Room, placements
from autolora.nested.local import climb
from autolora.nested.race import race
from autolora.nested.scores import along_gates, along_ranks, energy, gains, measured, shrunk
from autolora.nested.truncated import Truncated, sample
from autolora.training.evaluate import answered
from tests.strategies.conftest import SETTINGS, Taught

HIGH = 4


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    """Random factors in float64, the second layer's the largest."""
    model = Taught().model().double()
    attached = attach(model, {"0.weight": HIGH, "2.weight": HIGH, "4.weight": HIGH}, scale=0.5)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, part in attached.factors.items():
            size = 0.4 if name == "2.weight" else 0.1
            part.up.copy_(size * torch.randn(part.up.shape, generator=generator))
    return Adapter.capture(model)


@pytest.fixture
def truncated(adapter: Adapter) -> Truncated:
    return Truncated(rebased(adapter), Taught(), SETTINGS)


@pytest.fixture
def room() -> Room:
    targets = [t for t in _targets() if t.name.endswith("weight")]
    families = {"ends": ("0.weight", "4.weight"), "middle": ("2.weight",)}
    return Room(
        tuple(targets), dict.fromkeys((t.name for t in targets), HIGH), 130, 1, (), families
    )


def _targets():
    from autolora.lora import targets

    return targets(Taught().model())


def test_a_view_is_what_a_cut_adapter_answers(truncated: Truncated) -> None:
    task, shown = Taught(), sample(Taught(), 96, seed=0)
    for ranks in ({"0.weight": 1, "2.weight": 3}, {}, {"4.weight": 4}, {"2.weight": 2}):
        model = task.model()
        cut(truncated.adapter, ranks).attach_to(model, check=False)
        expected = float(answered(model, task, "valid", final=False).losses.mean())
        assert truncated.losses(ranks, shown).mean == pytest.approx(expected, rel=1e-5)


def test_rebased_deltas_are_the_same_and_their_first_ranks_the_largest(adapter: Adapter) -> None:
    again = rebased(adapter)
    for name, (up, down) in adapter.factors.items():
        whole = adapter.scales[name] * (up.double() @ down.double())
        new_up, new_down = again.factors[name]
        assert torch.allclose(new_up.double() @ new_down.double(), whole, atol=1e-6)
        left, values, right = torch.linalg.svd(whole)
        best = left[:, :2] @ torch.diag(values[:2]) @ right[:2]
        assert torch.allclose(new_up[:, :2].double() @ new_down[:2].double(), best, atol=1e-5)


def test_gate_scores_add_up_to_the_fall_of_the_loss(truncated: Truncated) -> None:
    shown = sample(Taught(), 96, seed=0)
    points = tuple((i + 0.5) / 64 for i in range(64))
    total = sum(float(s.sum()) for s in along_gates(truncated, shown, points).values())
    fall = truncated.losses({}, shown).mean - truncated.losses(truncated.ranks, shown).mean
    assert total == pytest.approx(fall, rel=1e-3)


def test_scores_cost_what_they_say(truncated: Truncated) -> None:
    shown = sample(Taught(), 32, seed=0)
    along_gates(truncated, shown, (0.5, 0.9))
    assert truncated.example_passes == 2 * 2 * 32
    along_ranks(truncated, shown, (0, 1, 2))
    assert truncated.example_passes == 5 * 2 * 32
    energy(truncated)
    assert truncated.example_passes == 5 * 2 * 32


def test_measured_sensitivities_are_what_cutting_one_target_costs(truncated: Truncated) -> None:
    shown, full = sample(Taught(), 96, seed=0), truncated.ranks
    scores = measured(truncated, shown, full, (0, 2))
    whole = truncated.losses(full, shown).mean
    alone = truncated.losses({**full, "2.weight": 0}, shown).mean
    assert float(scores["2.weight"].sum()) == pytest.approx(alone - whole)


def test_no_trust_is_uniform(truncated: Truncated, room: Room) -> None:
    scores = energy(truncated)
    even = room.best(shrunk(scores, room.costs, 0.0))
    assert set(even.values()) <= {1, 2}
    assert room.best(shrunk(scores, room.costs, 1.0)) == room.best(gains(scores))


def test_the_race_drops_what_is_surely_worse_but_never_uniform(truncated: Truncated) -> None:
    good, bad = dict(truncated.ranks), {"0.weight": 1}
    candidates = {"good": good, "the same": dict(good), "bad": bad, "uniform": {"4.weight": 1}}
    shown = sample(Taught(), 96, seed=0)
    better, worse = sorted(candidates.values(), key=lambda r: truncated.losses(r, shown).mean)[::3]
    ranked = race(truncated, candidates, shown, allowance=10_000, always=("uniform",))
    names = [each.name for each in ranked]
    assert "the same" not in names, "equal allocations run once"
    assert next(each for each in ranked if each.name == "uniform").examples == 96
    assert dict(ranked[0].ranks) == dict(better)
    assert dict(ranked[0].ranks) != dict(worse)


def test_the_race_keeps_its_allowance(truncated: Truncated) -> None:
    before = truncated.example_passes
    race(truncated, {"a": {"0.weight": 1}, "b": {}}, sample(Taught(), 96, seed=0), allowance=70)
    assert truncated.example_passes - before == 64


def test_moves_improve_within_the_budget(truncated: Truncated, room: Room) -> None:
    shown = sample(Taught(), 96, seed=0)
    start = room.even(truncated.ranks)
    ranks, loss, _ = climb(truncated, start, room, shown, 20_000)
    assert room.parameters(ranks) <= room.budget
    assert loss <= truncated.losses(start, shown).mean
    assert loss == pytest.approx(truncated.losses(ranks, shown).mean)


def test_placements_of_one_family(room: Room) -> None:
    found = placements(room, room.families)
    assert set(found["middle only"]) == {"2.weight"}
    assert all(room.parameters(ranks) <= room.budget for ranks in found.values())


def test_an_allocation_of_nothing_is_the_base(truncated: Truncated) -> None:
    assert cut(truncated.adapter, {}).allocation == Allocation()
