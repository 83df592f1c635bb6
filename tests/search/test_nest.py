"""NEST on the tiny decoder, where allocations matter and noise is small."""

from dataclasses import replace

import pytest

from autolora.lora.targets import targets
from autolora.space.proposal import Proposal
from autolora.spending import Found, Work
from autolora.spending.work import Terms
from autolora.strategies import nest
from autolora.training.evaluate import evaluate
from autolora.training.fit import Run, train
from autolora.training.shared import Shared
from benchmarks.search import tier0

SEED_DEVIATION = 0.0044  # of uniform rank 1, test loss in nats, over seeds
FT = 2.0


@pytest.fixture(scope="module")
def terms() -> Terms:
    task = tier0.task("transition", 0)
    space = tier0.space().resolve(targets(task.model()))
    without = Terms(task, space, tier0.SETTINGS, tier0.BUDGET_PARAMETERS, 0)
    return replace(without, allowance=int(FT * without.fine_tune))


@pytest.fixture(scope="module")
def found(terms: Terms) -> Found:
    return nest.search(nest.OPTIONS(), Work(terms, 0))


def test_the_found_allocation_beats_uniform_ranks(terms: Terms, found: Found) -> None:
    uniform = Proposal(terms.space.uniform(1), tier0.RATE)
    fitted = train(Run(terms.task, uniform, terms.settings, 0), Shared())
    tested = []
    for adapter in (found.adapter, fitted.adapter):
        model = terms.task.model()
        adapter.attach_to(model)
        tested.append(evaluate(model, terms.task, "test")["loss"].value)
    assert tested[1] - tested[0] > 3 * SEED_DEVIATION, tested


def test_both_budgets_are_kept(terms: Terms, found: Found) -> None:
    assert found.adapter.parameters <= terms.parameters
    assert found.example_passes <= terms.allowance
    account = {stage.name: stage.example_passes for stage in nest.account(nest.OPTIONS(), terms)}
    assert sum(account.values()) <= terms.allowance
    for stage in found.ledger:
        if stage.name in account:
            assert stage.example_passes <= account[stage.name], stage.name


def test_uniform_ranks_and_one_family_alone_are_in_the_race(found: Found) -> None:
    names = {each["name"] for each in found.about["candidates"]}
    assert "uniform" in names
    assert any(name.endswith(" only") for name in names)
    assert any(name.startswith("uniform, rate") for name in found.about["stretches"])


def test_the_same_seed_finds_the_same(terms: Terms) -> None:
    short = replace(terms, allowance=int(0.8 * terms.fine_tune))
    first, second = (nest.search(nest.OPTIONS(), Work(short, 1)) for _ in range(2))
    assert first.adapter.digest == second.adapter.digest
    assert first.adapter.allocation == second.adapter.allocation
