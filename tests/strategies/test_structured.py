from dataclasses import replace

import optuna
import pytest
import torch

from autolora.errors import AllowanceTooSmall
from autolora.lora.allocation import Allocation
from autolora.nested.candidates import UNIFORM, families
from autolora.nested.profile import LINEAR, QUADRATIC, TRUST, Profile
from autolora.nested.room import room_of
from autolora.nested.scores import gains
from autolora.spending import Work
from autolora.strategies import structured


@pytest.mark.parametrize("fine_tunes", [2.0, 5.3])
def test_it_keeps_its_word(terms_of, keeps_within, fine_tunes):
    terms = terms_of(fine_tunes=fine_tunes)
    found = keeps_within(structured, terms)
    assert found.example_passes > 0.85 * terms.allowance
    assert UNIFORM in found.about["stretches"]
    assert found.about["evaluated"] == len(found.about["points"])


def test_no_allowance_is_exceeded_however_small(terms_of):
    options = structured.OPTIONS(trials=12)
    with pytest.raises(AllowanceTooSmall, match="structured needs at least") as told:
        structured.search(options, Work(terms_of(fine_tunes=0.1), seed=0))
    least = float(str(told.value).split("at least ")[1].split()[0])
    for more in (0.0, 0.07, 0.31, 0.9):
        terms = terms_of(fine_tunes=least + more)
        promised = sum(stage.example_passes for stage in structured.account(options, terms))
        found = structured.search(options, Work(terms, seed=0))
        assert found.example_passes <= promised <= terms.allowance


def test_uniform_and_the_scores_are_the_first_points(terms_of):
    found = structured.search(structured.OPTIONS(), Work(terms_of(parameters=64), seed=0))
    points = {each["name"]: each["numbers"] for each in found.about["points"]}
    assert not any(points[UNIFORM].values())
    assert points["gates"] == {**points[UNIFORM], TRUST: 1.0}
    losses = [each["loss"] for each in found.about["points"]]
    assert losses == sorted(losses)


def test_the_best_points_and_uniform_train_on(terms):
    found = structured.search(structured.OPTIONS(candidates=3), Work(terms, seed=0))
    names = [each["name"] for each in found.about["candidates"] if each["name"] != UNIFORM]
    assert list(found.about["stretches"]) == [*names[:3], UNIFORM]
    judged = found.about["stretches"]
    assert found.about["chosen"] == min(judged, key=judged.get)


def test_equal_allocations_are_evaluated_once(terms):
    work = Work(terms, seed=0)
    found = structured.search(structured.OPTIONS(trials=40), work)
    digests = [each.allocation for each in work.journal.evaluations]
    assert len(digests) == len(set(digests)) == found.about["evaluated"]
    assert found.about["evaluated"] < found.about["proposed"] == 40


def test_optuna_talks_as_before(terms, capsys):
    before = optuna.logging.get_verbosity()
    structured.search(structured.OPTIONS(trials=5), Work(terms, seed=0))
    assert optuna.logging.get_verbosity() == before
    assert "Trial" not in capsys.readouterr().err


@pytest.fixture
def profile(terms):
    """Two families: the first and the last layer, and the one between."""
    space = terms.space
    groups = {"ends.1": ("0.weight",), "middle": ("2.weight",), "ends.2": ("4.weight",)}
    room = room_of(replace(terms, parameters=156), None)
    room = replace(room, families=families(groups))
    torch.manual_seed(0)
    scores = {target.name: torch.rand(4) for target in space.targets}
    return Profile(room, scores)


def test_the_numbers_are_trust_offsets_and_depth(profile):
    assert list(profile.bounds) == [TRUST, "offset, middle", LINEAR, QUADRATIC]
    assert profile.uniform == dict.fromkeys(profile.bounds, 0.0)


def test_without_trust_it_is_exactly_uniform(terms, profile):
    """By the knapsack as well: what zero means does not jump."""
    uniform = dict(terms.space.uniform(2))
    assert profile.ranks(profile.uniform) == uniform
    worths = profile.worths(profile.uniform)
    assert profile.room.best(gains(worths)) == uniform
    assert Allocation(uniform).parameters(terms.space.targets) == 156


def test_full_trust_is_the_score(profile):
    worths = profile.worths(profile.scored)
    for name, score in profile.scores.items():
        ratio = worths[name] / score
        assert torch.allclose(ratio, ratio[0].expand(4))


def test_scores_below_zero_do_not_break_it(profile):
    worse = {name: score - 2.0 for name, score in profile.scores.items()}
    bent = replace(profile, scores=worse)
    ranks = bent.ranks({**bent.scored, LINEAR: 1.0})
    assert bent.room.parameters(ranks) <= 156
    assert all(torch.isfinite(each).all() for each in bent.worths(bent.scored).values())


@pytest.mark.parametrize(
    ("number", "value", "more", "less"),
    [
        ("offset, middle", 1.5, "2.weight", "0.weight"),
        ("offset, middle", -1.5, "0.weight", "2.weight"),
        (LINEAR, 1.5, "4.weight", "0.weight"),
        (LINEAR, -1.5, "0.weight", "4.weight"),
        (QUADRATIC, 1.5, "4.weight", "2.weight"),
        (QUADRATIC, -1.5, "2.weight", "4.weight"),
    ],
)
def test_each_number_bends_the_allocation_its_own_way(profile, number, value, more, less):
    ranks = profile.ranks({**profile.uniform, number: value})
    assert ranks[more] > ranks[less]
    assert 156 - 22 < profile.room.parameters(ranks) <= 156


def test_with_one_family_at_one_depth_trust_alone_is_left(profile):
    targets = tuple(replace(t, layer="0") for t in profile.room.targets)
    room = replace(profile.room, targets=targets, families={"all": tuple(profile.scores)})
    assert list(Profile(room, profile.scores).bounds) == [TRUST]
