"""On Tier 0 allocations matter, and cutting one run of high rank tells which are good."""

from collections.abc import Mapping

import pytest
import torch
from scipy.stats import kendalltau

from autolora.lora import Allocation, targets
from autolora.nested.adapters import rebased
from autolora.nested.truncated import Truncated, sample
from autolora.space.space import MOST_NUMBERS, Space
from autolora.training.fit import Run, train
from autolora.training.shared import Shared
from autolora.training.supervised import SupervisedTask
from autolora.training.task import SPLITS
from benchmarks.search.allocations import evenly, placements, scattered
from benchmarks.search.decoder import BASE_DISTANCE, Recipe
from benchmarks.search.tier0 import (
    BUDGET_PARAMETERS,
    CHANGED,
    HIGH_RANK,
    HIGH_RATE,
    KINDS,
    NEW_DISTANCE,
    RATE,
    SETTINGS,
    Kind,
    language,
    space,
    task,
)

RANDOM = 12  # allocations beside uniform, attention and MLP
SAMPLE = 256  # validation sequences that judge a cut adapter
SHORT = SETTINGS.model_copy(update={"steps": 110, "evaluations": 1})


@pytest.fixture(scope="module")
def transition() -> SupervisedTask:
    return task("transition", 0, test=256)


@pytest.fixture(scope="module")
def searched(transition: SupervisedTask) -> Space:
    return space().resolve(targets(transition.model()))


@pytest.fixture(scope="module")
def allocations(searched: Space) -> Mapping[str, Allocation]:
    drawn = {
        f"random {seed}": scattered(searched.targets, BUDGET_PARAMETERS, seed)
        for seed in range(RANDOM)
    }
    return placements(searched.targets, BUDGET_PARAMETERS) | drawn


@pytest.fixture(scope="module")
def trained(
    transition: SupervisedTask, searched: Space, allocations: Mapping[str, Allocation]
) -> dict[str, float]:
    """The validation loss of each allocation, trained from scratch."""
    return {
        name: train(Run(transition, searched.fixed(each, RATE), SHORT, 0), Shared()).loss
        for name, each in allocations.items()
    }


@pytest.fixture(scope="module")
def truncated(
    transition: SupervisedTask, searched: Space, allocations: Mapping[str, Allocation]
) -> dict[str, float]:
    """The loss of each allocation cut from one run of high rank, with no training of its own."""
    proposal = searched.fixed(searched.uniform(HIGH_RANK), HIGH_RATE)
    settings = SETTINGS.model_copy(update={"evaluations": 1})
    high = train(Run(transition, proposal, settings, 0), Shared())
    cut = Truncated(rebased(high.adapter), transition, settings)
    shown = sample(transition, SAMPLE, seed=0)
    return {name: cut.losses(each, shown).mean for name, each in allocations.items()}


def test_a_cut_run_ranks_allocations_as_training_them_does(
    trained: dict[str, float], truncated: dict[str, float]
) -> None:
    tau = kendalltau([truncated[name] for name in trained], list(trained.values())).statistic
    assert tau >= 0.6, (trained, truncated)  # measured: 0.75


def test_a_new_table_wants_the_mlps_more_than_attention(trained: dict[str, float]) -> None:
    assert trained["mlp"] < trained["uniform"] < trained["attention"]


def test_random_allocations_differ_by_more_than_seeds_do(
    transition: SupervisedTask, searched: Space, trained: dict[str, float]
) -> None:
    proposal = searched.fixed(searched.uniform(1), RATE)
    again = [train(Run(transition, proposal, SHORT, seed), Shared()).loss for seed in (1, 2)]
    by_seed = torch.tensor([trained["uniform"], *again]).std()
    by_ranks = torch.tensor([loss for name, loss in trained.items() if "random" in name]).std()
    assert by_ranks > 2 * by_seed


def test_every_allocation_keeps_the_budget(
    searched: Space, allocations: Mapping[str, Allocation]
) -> None:
    spent = {name: each.parameters(searched.targets) for name, each in allocations.items()}
    assert spent.pop("mlp") == BUDGET_PARAMETERS - 128  # no further rank fits
    assert set(spent.values()) == {BUDGET_PARAMETERS}
    assert allocations["uniform"] == searched.uniform(1)
    assert evenly(searched.targets, 2 * BUDGET_PARAMETERS) == searched.uniform(2)
    assert len(set(allocations.values())) == len(allocations)


def test_an_equal_seed_gives_equal_bits(transition: SupervisedTask, searched: Space) -> None:
    few = SETTINGS.model_copy(update={"steps": 4, "evaluations": 1})
    proposal = searched.fixed(searched.uniform(1), RATE)
    digests = [
        train(Run(each, proposal, few, seed), Shared()).adapter.digest
        for each, seed in ((transition, 0), (task("transition", 0, test=8), 0), (transition, 1))
    ]
    assert digests[0] == digests[1] != digests[2]
    assert scattered(searched.targets, 3_584, 1) == scattered(searched.targets, 3_584, 1)


def test_the_space_holds_the_24_layers_in_few_numbers(searched: Space) -> None:
    assert len(searched.targets) == 24
    assert len(searched.distributions) == 17 < MOST_NUMBERS
    assert searched.uniform(1).parameters(searched.targets) == BUDGET_PARAMETERS


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_the_new_rules_that_it_names(kind: Kind) -> None:
    known, spoken = Recipe().speaks(), language(kind, 0)
    changed = int((known.table != spoken.table).any(1).sum())
    assert changed == (0 if kind == "copy" else CHANGED)
    assert spoken.distance == (BASE_DISTANCE if kind == "transition" else NEW_DISTANCE)


def test_tasks_are_told_apart_and_their_splits_share_nothing() -> None:
    made = [task(kind, seed, test=64) for kind in KINDS for seed in (0, 1)]
    assert len({each.fingerprint() for each in made}) == len(made)
    assert task("copy", 0, test=64).fingerprint() == task("copy", 0, test=64).fingerprint()
    seen = [
        set(map(tuple, next(made[0].batches(split, batch_size=9_999)).inputs.tolist()))
        for split in SPLITS
    ]
    assert sum(map(len, seen)) == len(set().union(*seen))
