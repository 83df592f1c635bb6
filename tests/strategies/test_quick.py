from dataclasses import replace

import pytest
import torch

from autolora.errors import AllowanceTooSmall, BudgetTooSmall, NoRateConverged
from autolora.nested.candidates import UNIFORM
from autolora.nested.room import distinct, filled, room_of
from autolora.space.spec import SpaceSpec
from autolora.spending import Work
from autolora.strategies import quick


@pytest.mark.parametrize("fine_tunes", [1.1, 2.0, 5.3])
def test_it_keeps_its_word(terms_of, keeps_within, fine_tunes):
    terms = terms_of(parameters=64, fine_tunes=fine_tunes)
    found = keeps_within(quick, terms, trust=1.0)
    assert found.example_passes > 0.85 * terms.allowance
    assert {each["name"] for each in found.about["candidates"]} == {"gates, trust 1", UNIFORM}
    assert set(found.about["stretches"]) == {"gates, trust 1", UNIFORM}


def test_no_allowance_is_exceeded_however_small(terms_of):
    """From the least that it takes, in steps that move every rounding."""
    options = quick.OPTIONS()
    with pytest.raises(AllowanceTooSmall, match=r"quick needs at least (\d\.\d\d) ") as told:
        quick.search(options, Work(terms_of(fine_tunes=0.1), seed=0))
    least = float(str(told.value).split("at least ")[1].split()[0])
    with pytest.raises(AllowanceTooSmall):
        quick.account(options, terms_of(fine_tunes=least - 0.02))
    for more in range(12):
        terms = terms_of(fine_tunes=least + 0.07 * more)
        promised = sum(stage.example_passes for stage in quick.account(options, terms))
        found = quick.search(options, Work(terms, seed=0))
        assert found.example_passes <= promised <= terms.allowance
        assert found.adapter.parameters <= terms.parameters


def test_rates_are_compared_where_the_allowance_holds_that(terms_of):
    small, large = (
        quick.search(quick.OPTIONS(), Work(terms_of(fine_tunes=each), seed=0)) for each in (0.9, 2)
    )
    assert small.about["probed"] == {}
    assert small.about["high_rate"] == pytest.approx(0.03)  # the middle of 0.003 to 0.3
    assert len(large.about["probed"]) == 2
    assert all(stage.name != "learning-rate probe" for stage in small.ledger)


def test_without_trust_uniform_is_what_remains(terms):
    found = quick.search(quick.OPTIONS(trust=0.0), Work(terms, seed=0))
    assert found.about["chosen"] == UNIFORM
    assert found.adapter.allocation == {"0.weight": 2, "2.weight": 1, "4.weight": 2}


def test_with_trust_what_brings_little_is_left_out(terms_of):
    """The first layer, which came out right without an adapter, and is the cheapest but one."""
    found = quick.search(quick.OPTIONS(trust=1.0), Work(terms_of(parameters=64), seed=0))
    ranks = {each["name"]: each["ranks"] for each in found.about["candidates"]}
    assert ranks["gates, trust 1"] == {"0.weight": 0, "2.weight": 1, "4.weight": 1}
    assert ranks[UNIFORM] == {"0.weight": 1, "2.weight": 1, "4.weight": 0}
    scores = {name: sum(each) for name, each in found.about["scores"].items()}
    assert max(scores, key=scores.get) == "2.weight"
    assert found.about["chosen"] == "gates, trust 1"


def test_where_all_rates_diverge_it_is_told(terms_of):
    terms = terms_of(fine_tunes=1.1)
    high = {"learning_rate": {"low": 1e20, "high": 1e30}}
    spec = SpaceSpec.model_validate(
        {"ranks": [0, 1, 2, 4], "groups": [{"name": "all", "per": "layer"}], "training": high}
    )
    wild = replace(terms, space=spec.resolve(terms.space.targets))
    work = Work(wild, seed=0)
    with pytest.raises(NoRateConverged):
        quick.search(quick.OPTIONS(), work)
    assert work.spent <= wild.allowance


@pytest.mark.parametrize("head_start", ["random", "probe"])
def test_a_head_is_trained_beside_and_paid_for(taught, terms_of, head_start):
    terms = terms_of(taught(head=("4",)), parameters=70, fine_tunes=1.5)
    settings = terms.settings.model_copy(update={"head_start": head_start})
    terms = replace(terms, settings=settings)
    found = quick.search(quick.OPTIONS(), Work(terms, seed=0))
    assert set(found.adapter.full) == {"4.weight", "4.bias"}
    promised = sum(stage.example_passes for stage in quick.account(quick.OPTIONS(), terms))
    assert found.example_passes <= promised <= terms.allowance


def test_ties_and_multiples_are_kept(terms_of):
    terms = terms_of(parameters=260)
    found = quick.search(quick.OPTIONS(multiple=2, trust=1.0), Work(terms, seed=0))
    assert all(rank % 2 == 0 for rank in found.adapter.allocation.values())
    assert 260 - 2 * 32 < found.adapter.parameters <= 260


def test_a_budget_below_one_rank_of_what_is_tied_is_told(terms_of):
    work = Work(terms_of(parameters=40), seed=0)
    with pytest.raises(BudgetTooSmall, match="smallest has 44"):
        quick.search(quick.OPTIONS(multiple=2), work)
    assert work.spent == 0


def test_filling_leaves_no_room_and_keeps_the_shape(terms):
    room = room_of(terms, None)
    ranks = filled(room, {"2.weight": 2})
    assert ranks["2.weight"] > 2
    assert terms.parameters - 22 < room.parameters(ranks) <= terms.parameters
    assert filled(room, ranks) == ranks
    names = list(distinct({"a": {"x": 1}, UNIFORM: {"x": 1}, "b": {"x": 2}}))
    assert names == [UNIFORM, "b"]


def test_batches_in_parts_give_the_same(terms_of):
    terms = terms_of(fine_tunes=1.5)
    in_parts = replace(terms, settings=terms.settings.model_copy(update={"accumulate": 3}))
    whole, parts = (quick.search(quick.OPTIONS(), Work(t, seed=0)) for t in (terms, in_parts))
    assert parts.adapter.allocation == whole.adapter.allocation
    assert torch.isfinite(torch.tensor(parts.loss))
    assert parts.example_passes == whole.example_passes
