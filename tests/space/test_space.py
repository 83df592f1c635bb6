"""What a configuration means, and the laws of keeping a budget."""

import random
from itertools import pairwise
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autolora.errors import BudgetTooSmall
from autolora.lora.allocation import Allocation
from autolora.lora.targets import Target
from autolora.space.proposal import Proposal
from autolora.space.space import Space
from autolora.space.spec import SpaceSpec

Targets = tuple[Target, ...]
RATE = 0.01


def made(targets: Targets, ranks: tuple[int, ...] = (0, 1, 2, 4, 8), **training: Any) -> Space:
    return SpaceSpec.model_validate(
        {
            "ranks": ranks,
            "groups": [
                {"name": "linear", "kinds": ["linear"], "per": "stage", "stages": 3},
                {"name": "rest", "per": "kind"},
            ],
            "training": {"learning_rate": {"low": 1e-3, "high": 1e-1}, **training},
        }
    ).resolve(targets)


@pytest.fixture
def space(targets: Targets) -> Space:
    return made(targets)


def drawn(space: Space, dice: random.Random) -> dict[str, Any]:
    """A configuration, each number drawn evenly."""
    params: dict[str, Any] = {"learning_rate": dice.uniform(1e-3, 1e-1)}
    for name, domain in space.distributions.items():
        if isinstance(domain, IntDistribution):
            params[name] = dice.randint(domain.low, domain.high)
    return params


def configurations(space: Space, count: int = 150) -> list[dict[str, Any]]:
    dice = random.Random(0)
    return [drawn(space, dice) for _ in range(count)]


def test_domains(targets: Targets) -> None:
    scale = [{"rule": "constant"}, {"rule": "alpha_over_rank", "value": 8}]
    space = made(targets, (2, 4, 8), scale=scale)
    assert space.distributions["rank.linear.1"] == IntDistribution(2, 4)
    assert space.distributions["learning_rate"] == FloatDistribution(1e-3, 1e-1, log=True)
    assert space.distributions["scale"] == CategoricalDistribution(
        ["constant 1.0", "alpha_over_rank 8.0"]
    )
    assert "scale" not in made(targets).distributions, "one scale is no choice"


@pytest.mark.parametrize(("code", "rank"), [(0, 0), (1, 1), (2, 2), (3, 4), (4, 8)])
def test_a_code_stands_for_a_power_of_two(space: Space, code: int, rank: int) -> None:
    params = {f"rank.{group}": code for group in space.groups}
    allocation = space.proposal({**params, "learning_rate": RATE}).allocation
    assert allocation == space.uniform(rank)
    assert all(space.distributions[name].high == 4 for name in params)


def test_one_number_sets_the_ranks_of_its_group_alone(space: Space) -> None:
    zero = {f"rank.{group}": 0 for group in space.groups}
    for group, names in space.groups.items():
        params = {**zero, f"rank.{group}": 3, "learning_rate": RATE}
        assert dict(space.proposal(params).allocation) == dict.fromkeys(names, 4)


def test_a_scale_that_is_searched(targets: Targets) -> None:
    scale = [{"rule": "constant", "value": 2}, {"rule": "alpha_over_root_rank", "value": 8}]
    space = made(targets, scale=scale)
    params = {f"rank.{group}": 3 for group in space.groups} | {"learning_rate": RATE}
    first, second = space.distributions["scale"].choices
    assert space.proposal({**params, "scale": first}).scale(4) == 2.0
    assert space.proposal({**params, "scale": second}).scale(4) == 4.0


def test_within_budget_nothing_changes(space: Space) -> None:
    for params in configurations(space):
        free = space.proposal(params)
        size = free.allocation.parameters(space.targets)
        assert space.proposal(params, size) == free


def test_a_budget_is_always_kept_and_no_rank_raised(space: Space) -> None:
    dice = random.Random(1)
    for params in configurations(space):
        free = space.proposal(params).allocation
        size = free.parameters(space.targets)
        budget = dice.randint(0, size)
        kept = space.proposal(params, budget)
        assert kept.allocation.parameters(space.targets) <= budget
        assert all(rank <= free[name] for name, rank in kept.allocation.items())
        assert kept == space.proposal(dict(reversed(params.items())), budget), "deterministic"
        assert kept.learning_rate == params["learning_rate"]


def test_a_larger_budget_never_lowers_more(space: Space) -> None:
    for params in configurations(space, 30):
        size = space.proposal(params).allocation.parameters(space.targets)
        kept = [space.proposal(params, size * i // 8).allocation for i in range(9)]
        sizes = [allocation.parameters(space.targets) for allocation in kept]
        assert sizes == sorted(sizes)
        for less, more in pairwise(kept):
            assert all(rank <= more.get(name, 0) for name, rank in less.items())


def test_lowering_keeps_the_profile(space: Space) -> None:
    """Only the highest ranks are lowered: none ends more than a step below one asked for lower."""
    for params in configurations(space, 30):
        free = space.proposal(params).allocation
        kept = space.proposal(params, free.parameters(space.targets) // 2).allocation
        order = [(free.get(t.name, 0), kept.get(t.name, 0)) for t in space.targets]
        for asked, got in order:
            lower = [other for wanted, other in order if wanted < asked]
            assert got == asked or max(lower, default=0) <= max(2 * got, 1)


def test_zero_is_reached(space: Space) -> None:
    highest = {name: 4 for name in space.distributions if name != "learning_rate"}
    assert not space.proposal({**highest, "learning_rate": RATE}, 0).allocation


def test_a_budget_that_no_allocation_meets(targets: Targets) -> None:
    space = made(targets, (1, 2, 4, 8))
    smallest = space.uniform(1).parameters(space.targets)
    space.check_budget(smallest)
    space.check_budget(None)
    for params in configurations(space, 20):
        assert space.proposal(params, smallest).allocation == space.uniform(1)
        with pytest.raises(BudgetTooSmall, match=f"budget of {smallest - 1:,}.*has {smallest:,}"):
            space.proposal(params, smallest - 1)
    with pytest.raises(BudgetTooSmall):
        space.check_budget(smallest - 1)


def test_encode_is_the_way_back(space: Space) -> None:
    for params in configurations(space):
        proposal = space.proposal(params)
        assert space.encode(proposal.allocation, proposal.learning_rate) == params
    assert space.encode(Allocation(), RATE) is not None


def test_what_a_space_cannot_express(targets: Targets, space: Space) -> None:
    names = space.groups["linear.1"]
    assert space.encode(Allocation({names[0]: 1}), RATE) is None, "a part of a group"
    assert space.encode(space.uniform(3), RATE) is None, "no power of two"
    assert space.encode(space.uniform(16), RATE) is None, "higher than offered"
    assert made(targets, (1, 2)).encode(Allocation(), RATE) is None, "0 is not offered"
    several = made(targets, scale=[{"value": 2}, {"value": 1}])
    assert several.encode(Allocation(), RATE)["scale"] == "constant 2.0", "the first is used"
    assert several.fixed(Allocation(), RATE).scale_value == 2.0


def test_uniform_is_clipped_at_smaller_matrices(space: Space) -> None:
    assert {space.uniform(16)[t.name] for t in space.targets if t.kind == "conv"} == {8}
    assert {space.uniform(16)[t.name] for t in space.targets if t.kind == "linear"} == {16}


def test_digest_is_of_what_is_trained() -> None:
    some = Proposal(Allocation({"a": 1, "b": 2}), 1e-3)
    same = Proposal(Allocation({"c": 0, "b": 2, "a": 1}), 0.001)
    assert some.digest("x") == same.digest("x")
    assert len(some.digest()) == 64
    others = [
        some.digest("y"),
        Proposal(Allocation({"a": 2, "b": 1}), 1e-3).digest("x"),
        Proposal(Allocation({"a": 1}), 1e-3).digest("x"),
        Proposal(some.allocation, 1.0000001e-3).digest("x"),
        Proposal(some.allocation, 1e-3, "constant", 2.0).digest("x"),
    ]
    assert len({some.digest("x"), *others}) == 6


def test_a_scale_that_nothing_has_is_no_difference() -> None:
    one, two = Proposal(Allocation(), 1e-3), Proposal(Allocation(), 1e-3, "constant", 2.0)
    assert one.digest() == two.digest()


def test_a_stored_proposal_is_read_back() -> None:
    some = Proposal(Allocation({"a": 1}), 1e-3, "constant", 2.0)
    assert Proposal.of(dict(some.allocation), some.configuration()) == some
