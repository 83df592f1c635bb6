"""An allocation is a frozen mapping to ranks above 0 that knows its price."""

import pickle
from typing import Any

import pytest
from torch import nn

from autolora.errors import NoSuchTarget, RankTooHigh, UsageError
from autolora.lora import Allocation, targets


def test_rank_0_is_absence() -> None:
    allocation = Allocation({"b": 2, "a": 0})
    assert dict(allocation) == {"b": 2}
    assert (len(allocation), "a" in allocation) == (1, False)
    assert allocation == Allocation({"b": 2}) == {"b": 2}
    assert Allocation() == Allocation({"a": 0}) == {}


def test_order_of_making_does_not_count() -> None:
    one, other = Allocation({"a": 1, "b": 2}), Allocation({"b": 2, "a": 1})
    assert (one, hash(one), repr(one), one.to_json()) == (
        other, hash(other), repr(other), other.to_json(),
    )  # fmt: skip
    assert one != Allocation({"a": 1, "b": 3})


@pytest.mark.parametrize("rank", [-1, 1.0, 1.5, "2", None, True, [1]])
def test_what_is_no_rank(rank: Any) -> None:
    with pytest.raises(UsageError, match=r"at a is no rank; ranks are integers from 0"):
        Allocation({"b": 1, "a": rank})


def test_it_is_frozen() -> None:
    ranks = {"a": 1}
    allocation = Allocation(ranks)
    ranks["a"] = 5
    assert allocation["a"] == 1
    with pytest.raises(TypeError):
        allocation["a"] = 2  # type: ignore[index]


@pytest.mark.parametrize("ranks", [{}, {"a": 1}, {"x.y[query]": 64, 'é "quoted"\\': 3}])
def test_json_and_pickle_both_ways(ranks: dict[str, int]) -> None:
    allocation = Allocation(ranks)
    assert Allocation.from_json(allocation.to_json()) == allocation
    assert pickle.loads(pickle.dumps(allocation)) == allocation
    assert "\n" not in allocation.to_json()


@pytest.mark.parametrize("rank", [0, 1, 2, 5, 100])
def test_uniform_is_clipped_where_a_matrix_is_small(model: nn.Module, rank: int) -> None:
    known = targets(model)
    allocation = Allocation.uniform(known, rank)
    for target in known:
        assert allocation.get(target.name, 0) == min(rank, target.max_rank)
    assert allocation.parameters(known) == sum(min(rank, t.max_rank) * t.cost for t in known)


def test_the_price_is_rank_times_rows_plus_columns(model: nn.Module) -> None:
    known = targets(model)
    assert Allocation({"head.weight": 2}).parameters(known) == 2 * (3 + 8)
    assert Allocation({"stem.weight": 3}).parameters(known) == 3 * (8 + 4 * 3)
    query = "blocks.0.in_proj_weight[query]"
    assert Allocation({query: 1, "head.weight": 2}).parameters(known) == (8 + 8) + 2 * (3 + 8)


def test_a_price_needs_known_targets_and_possible_ranks(model: nn.Module) -> None:
    known = targets(model)
    with pytest.raises(NoSuchTarget, match=r"nearest: head\.weight"):
        Allocation({"haed.weight": 1}).parameters(known)
    with pytest.raises(RankTooHigh) as error:
        Allocation({"head.weight": 4}).parameters(known)
    assert str(error.value) == (
        "rank 4 at head.weight exceeds what its 3 × 8 matrix can have; ranks here are 0 to 3"
    )
