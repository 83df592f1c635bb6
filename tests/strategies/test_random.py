from statistics import fmean

import pytest

from autolora.spending import Work
from autolora.strategies import random


def test_it_keeps_its_word(terms, keeps_its_word):
    found = keeps_its_word(random, terms, learning_rates=2, allocations=2)
    losses = found.about["losses"]
    assert found.about["mean_loss"] == fmean(losses)
    assert found.loss == found.about["best_loss"] == min(losses)
    best = found.about["allocations"][losses.index(min(losses))]
    assert found.adapter.allocation == best


def test_every_allocation_takes_as_many_parameters_as_ranks_allow(terms):
    drawn = [random.draw(terms, 0, number) for number in range(200)]
    least = min(terms.costs.values())
    parameters = [each.parameters(terms.space.targets) for each in drawn]
    assert max(parameters) <= terms.parameters
    # The cheapest targets are at the highest rank on offer where more than a rank is left over.
    full = {n for n, most in terms.space.most_ranks.items() if terms.costs[n] == least}
    short = [d for d, p in zip(drawn, parameters, strict=True) if terms.parameters - p >= least]
    assert all(d.get(n, 0) == terms.space.most_ranks[n] for d in short for n in full)


def test_allocations_are_spread_without_a_favourite(terms_of):
    terms = terms_of(parameters=156)  # uniform rank 2
    drawn = [random.draw(terms, 3, number) for number in range(300)]
    assert len(set(drawn)) > 15
    for name, cost in terms.costs.items():
        shares = [each.get(name, 0) * cost / terms.parameters for each in drawn]
        assert fmean(shares) == pytest.approx(1 / 3, abs=0.08)
        assert min(shares) == 0
        assert max(shares) > 0.5


def test_a_small_allowance_holds_fewer_allocations_then_fewer_rates(terms_of):
    def spent(fine_tunes):
        terms = terms_of(fine_tunes=fine_tunes)
        (stage,) = random.account(random.OPTIONS(), terms)
        return stage.example_passes / terms.fine_tune

    assert [spent(f) for f in (12.5, 11.9, 3.0, 2.5, 1.0)] == [12, 9, 3, 2, 1]
    terms = terms_of(fine_tunes=1.0)
    found = random.search(random.OPTIONS(), Work(terms, seed=0))
    assert len(found.about["allocations"]) == len(found.about["learning_rates"]) == 1
    assert found.example_passes == terms.allowance
