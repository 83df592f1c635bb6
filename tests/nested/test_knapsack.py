"""The knapsack against trying everything."""

from itertools import product

import pytest
import torch

from autolora.nested.knapsack import knapsack


@pytest.mark.parametrize("seed", range(20))
def test_the_best_of_all_allocations(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    names = ["a", "b", "c", "d"]
    costs = {n: int(torch.randint(1, 9, (), generator=generator)) for n in names}
    gains = {n: [0.0, *torch.randn(4, generator=generator).double().tolist()] for n in names}
    budget = int(torch.randint(0, 60, (), generator=generator))
    best = max(
        sum(gains[n][r] for n, r in zip(names, ranks, strict=True))
        for ranks in product(range(5), repeat=4)
        if sum(costs[n] * r for n, r in zip(names, ranks, strict=True)) <= budget
    )
    found = knapsack(gains, costs, budget)
    assert sum(costs[n] * r for n, r in found.items()) <= budget
    assert sum(gains[n][r] for n, r in found.items()) == pytest.approx(best)


def test_ranks_are_multiples() -> None:
    gains = {"a": [0, 1, 2, 3, 4, 5], "b": [0, 5, 1, 1, 6, 1]}
    assert knapsack(gains, {"a": 1, "b": 1}, 5, multiple=2) == {"a": 0, "b": 4}


def test_a_budget_of_many_units_is_kept_from_below() -> None:
    gains = {f"t{i}": [0.0, 1.0, 1.5] for i in range(5)}
    costs = {name: 700_001 + i for i, name in enumerate(gains)}
    found = knapsack(gains, costs, 2_900_000)
    assert sum(costs[n] * r for n, r in found.items()) <= 2_900_000
    assert sum(found.values()) == 4


def test_nothing_fits() -> None:
    assert knapsack({"a": [0, 9]}, {"a": 10}, 9) == {"a": 0}
