from itertools import pairwise

import pytest

from autolora.artifacts.adapter import Adapter
from autolora.errors import AllowanceTooSmall, SizeOutside
from autolora.spending import Work
from autolora.strategies import pareto


@pytest.mark.parametrize("fine_tunes", [3.0, 5.3])
def test_it_keeps_its_word(terms_of, keeps_within, fine_tunes):
    terms = terms_of(fine_tunes=fine_tunes)
    found = keeps_within(pareto, terms)
    assert found.example_passes > 0.85 * terms.allowance
    front = found.about["front"]
    assert [each["budget"] for each in front] == [32, 65, 130]
    for each in front:
        costs = sum(terms.costs[name] * rank for name, rank in each["ranks"].items())
        assert costs == each["parameters"] <= each["budget"]
        left = each["budget"] - costs
        assert all(
            cost > left
            for name, cost in terms.costs.items()
            if each["ranks"].get(name, 0) < terms.space.most_ranks[name]
        ), "one more rank would fit"
    assert front[-1]["adapter"] == found.adapter.digest
    assert front[-1]["loss"] == found.loss
    spent = found.about["shared_ft"] + sum(each["ft"] for each in front)
    assert spent == pytest.approx(found.example_passes / terms.fine_tune)


def test_every_adapter_of_the_front_is_in_the_journal(terms):
    work = Work(terms, seed=0)
    found = pareto.search(pareto.OPTIONS(), work)
    kept = {
        Adapter.from_bytes(entry.adapter).digest: entry.data["loss"]
        for entry in work.journal.entries.values()
        if entry.adapter and "loss" in entry.data  # a run; what is left to go on is a checkpoint
    }
    for each in found.about["front"]:
        assert kept[each["adapter"]] == each["loss"]


def test_every_size_gets_a_run_of_its_own_length(terms):
    """No size is favoured: last runs are about equally long, however many there are."""
    found = pareto.search(pareto.OPTIONS(fractions=(0.4, 1.0)), Work(terms, seed=0))
    fine_tunes = [each["ft"] for each in found.about["front"]]
    assert max(fine_tunes) < 1.1 * min(fine_tunes)
    assert max(fine_tunes) > 2.0  # of the 10 that there are


def test_larger_adapters_do_better_on_a_delta_of_rank_three(terms):
    found = pareto.search(pareto.OPTIONS(), Work(terms, seed=0))
    losses = [each["loss"] for each in found.about["front"]]
    assert all(large < small for small, large in pairwise(losses))
    assert found.about["dominated"] == []


def test_sizes_are_shares_or_numbers_and_the_budget_is_one_of_them(terms):
    assert pareto.sizes(pareto.OPTIONS(fractions=(0.5,)), terms) == (65, 130)
    assert pareto.sizes(pareto.OPTIONS(parameters=(100, 40, 40)), terms) == (40, 100, 130)


@pytest.mark.parametrize("asked", [{"parameters": (131,)}, {"fractions": (0.1,)}])
def test_sizes_that_no_adapter_can_have_are_told(terms, asked):
    for refused in (
        lambda: pareto.account(pareto.OPTIONS(**asked), terms),
        lambda: pareto.search(pareto.OPTIONS(**asked), Work(terms, seed=0)),
    ):
        with pytest.raises(SizeOutside, match=r"can have 22 .* to 130 \(the budget of the study\)"):
            refused()


def test_what_is_larger_and_no_better_is_dominated():
    front = [
        {"budget": 10, "parameters": 10, "loss": 2.0},
        {"budget": 20, "parameters": 20, "loss": 1.0},
        {"budget": 30, "parameters": 30, "loss": 1.0},
        {"budget": 40, "parameters": 40, "loss": 0.5},
    ]
    assert pareto.dominated(front) == [30]
    assert pareto.dominated([front[0], {**front[0], "budget": 11}]) == []


def test_more_sizes_need_more_and_no_allowance_is_exceeded(terms_of):
    least = []
    for fractions in ((1.0,), (0.25, 0.5, 0.75, 1.0)):
        options = pareto.OPTIONS(fractions=fractions)
        with pytest.raises(AllowanceTooSmall, match="pareto needs at least") as told:
            pareto.search(options, Work(terms_of(fine_tunes=0.1), seed=0))
        least.append(float(str(told.value).split("at least ")[1].split()[0]))
        for more in (0.0, 0.11, 0.43):
            terms = terms_of(fine_tunes=least[-1] + more)
            promised = sum(stage.example_passes for stage in pareto.account(options, terms))
            found = pareto.search(options, Work(terms, seed=0))
            assert found.example_passes <= promised <= terms.allowance
    assert least[1] > least[0] + 0.5
