"""What all baselines do with an allowance that is too small, or holds less than they would take."""

from dataclasses import replace
from importlib import import_module

import pytest

from autolora.errors import AllowanceTooSmall
from autolora.spending import Work

NAMES = ("adalora", "dylora", "energy", "eva", "gora", "random")


@pytest.mark.parametrize("name", NAMES)
def test_an_allowance_without_a_single_run_is_told(terms_of, name):
    strategy = import_module(f"autolora.strategies.{name}")
    terms = terms_of(fine_tunes=0.9)
    for refused in (
        lambda: strategy.account(strategy.OPTIONS(), terms),
        lambda: strategy.search(strategy.OPTIONS(), Work(terms, seed=0)),
    ):
        with pytest.raises(AllowanceTooSmall, match=rf"{name} needs at least 1\.\d\d fine-tunes"):
            refused()


@pytest.mark.parametrize("name", NAMES)
def test_a_small_allowance_holds_fewer_rates_and_is_never_exceeded(terms_of, name):
    strategy = import_module(f"autolora.strategies.{name}")
    terms = terms_of(fine_tunes=2.4)
    promised = strategy.account(strategy.OPTIONS(), terms)
    assert sum(stage.example_passes for stage in promised) <= terms.allowance
    found = strategy.search(strategy.OPTIONS(), Work(terms, seed=0))
    assert found.example_passes == sum(stage.example_passes for stage in promised)
    assert len(found.about["learning_rates"]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_below_one_rank_everywhere_still_gives_an_adapter(terms_of, name):
    strategy = import_module(f"autolora.strategies.{name}")
    terms = terms_of(parameters=50)
    found = strategy.search(strategy.OPTIONS(learning_rates=1), Work(terms, seed=0))
    assert 50 - 22 < found.adapter.parameters <= 50


@pytest.mark.parametrize("name", NAMES)
def test_batches_in_parts_give_the_same_adapter(terms_of, name):
    strategy = import_module(f"autolora.strategies.{name}")
    options = strategy.OPTIONS(learning_rates=1)
    terms = terms_of(fine_tunes=1.9)
    in_parts = replace(terms, settings=terms.settings.model_copy(update={"accumulate": 3}))
    whole, parts = (strategy.search(options, Work(each, seed=0)) for each in (terms, in_parts))
    assert parts.adapter.allocation == whole.adapter.allocation
    assert parts.loss == pytest.approx(whole.loss, rel=1e-2)
    assert parts.example_passes == whole.example_passes


@pytest.mark.parametrize("name", NAMES)
def test_a_head_is_trained_beside_the_ranks_and_starts_where_it_shall(taught, terms_of, name):
    strategy = import_module(f"autolora.strategies.{name}")
    terms = terms_of(taught(head=("4",)), parameters=70)
    probed = terms.settings.model_copy(update={"head_start": "probe"})
    losses = {}
    for each in (terms, replace(terms, settings=probed)):
        found = strategy.search(strategy.OPTIONS(learning_rates=1), Work(each, seed=0))
        assert found.adapter.parameters in range(70 - 24, 70 + 1)
        assert set(found.adapter.full) == {"4.weight", "4.bias"}
        assert set(found.adapter.allocation) <= {"0.weight", "2.weight"}
        losses[each.settings.head_start] = found.loss
    assert losses["probe"] != losses["random"]
