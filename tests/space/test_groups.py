"""Which targets share one searched rank."""

from typing import Any

import pytest

from autolora.errors import NoSuchTarget, NothingToSearch, RankTooHigh, TooManyNumbers, UnknownName
from autolora.lora.targets import Target
from autolora.space.space import MOST_NUMBERS, Space
from autolora.space.spec import SpaceSpec

Targets = tuple[Target, ...]
KINDS = ("linear", "conv", "depthwise")


def space(targets: Targets, *groups: dict[str, Any], **more: Any) -> Space:
    given = {"ranks": [0, 1, 2, 4], "groups": groups, **more}
    return SpaceSpec.model_validate(
        {"training": {"learning_rate": {"low": 1e-3, "high": 1e-1}}, **given}
    ).resolve(targets)


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ({}, {"g"}),
        ({"per": "group"}, {"g"}),
        ({"per": "kind"}, {"g.linear", "g.conv", "g.depthwise"}),
        ({"per": "depth"}, {f"g.{i}" for i in range(6)}),
        ({"per": "stage", "stages": 4}, {"g.1", "g.2", "g.3", "g.4"}),
        ({"per": "layer"}, {f"g.blocks.{i}.{kind}" for i in range(6) for kind in KINDS}),
    ],
)
def test_per(targets: Targets, group: dict[str, Any], names: set[str]) -> None:
    made = space(targets, {"name": "g", **group})
    assert set(made.groups) == names
    assert set(made.distributions) == {f"rank.{name}" for name in names} | {"learning_rate"}
    tied = [name for group in made.groups.values() for name in group]
    assert sorted(tied) == sorted(t.name for t in targets), "every target in one group"
    assert made.targets == targets, "in the order of the model, however they are tied"


@pytest.mark.parametrize(
    ("stages", "depths"),
    [
        (2, [(0, 1, 2), (3, 4, 5)]),
        (3, [(0, 1), (2, 3), (4, 5)]),
        (4, [(0, 1), (2,), (3, 4), (5,)]),
        (6, [(0,), (1,), (2,), (3,), (4,), (5,)]),
        (12, [(0,), (1,), (2,), (3,), (4,), (5,)]),
    ],
)
def test_stages_are_equal_parts_of_the_depths(
    targets: Targets, stages: int, depths: list[tuple[int, ...]]
) -> None:
    made = space(targets, {"name": "g", "kinds": ["conv"], "per": "stage", "stages": stages})
    found = [tuple(int(name.split(".")[1]) for name in tied) for tied in made.groups.values()]
    assert found == depths


def test_the_first_group_wins(targets: Targets) -> None:
    made = space(
        targets,
        {"name": "first", "match": "blocks.0.*"},
        {"name": "second", "kinds": ["conv"]},
        {"name": "late", "match": "blocks.0.conv.*"},
    )
    assert set(made.groups["first"]) == {f"blocks.0.{kind}.weight" for kind in KINDS}
    assert made.groups["second"] == tuple(f"blocks.{i}.conv.weight" for i in range(1, 6))
    assert "late" not in made.groups
    assert len(made.targets) == 8, "what no group matches is not searched"


def test_patterns_kinds_and_depths_all_hold(targets: Targets) -> None:
    made = space(
        targets,
        {
            "name": "g",
            "match": [r"re:blocks\.[135]\..*", "blocks.4.*"],
            "kinds": ["conv", "linear"],
            "depths": [1, 4],
        },
    )
    expected = {f"blocks.{i}.{kind}.weight" for i in (1, 3, 4) for kind in ("conv", "linear")}
    assert set(made.groups["g"]) == expected


def test_exclude(targets: Targets) -> None:
    made = space(targets, {"name": "g"}, exclude=["blocks.5.*", "re:.*depthwise.*"])
    left = {f"blocks.{i}.{kind}.weight" for i in range(5) for kind in ("conv", "linear")}
    assert {t.name for t in made.targets} == left


def test_what_matches_nothing(targets: Targets) -> None:
    with pytest.raises(NoSuchTarget, match=r'"blocks\.0\.convv.*nearest: blocks\.0\.conv\.weight'):
        space(targets, {"name": "g", "match": "blocks.0.convv.weight"})
    with pytest.raises(NoSuchTarget, match="no target matches"):
        space(targets, {"name": "g"}, exclude=["nobody"])
    with pytest.raises(UnknownName, match='no kind called "convv"; there are conv, depthwise'):
        space(targets, {"name": "g", "kinds": ["convv"]})
    with pytest.raises(NothingToSearch, match="autolora targets MODEL"):
        space(targets, {"name": "g"}, exclude=["*"])


def test_rank_above_what_a_target_can_have(targets: Targets) -> None:
    space(targets, {"name": "g"}, ranks=[0, 1, 2, 4, 8])
    with pytest.raises(RankTooHigh, match=r"rank 16 at blocks\.0\.conv\.weight.*8 × 72.*0 to 8"):
        space(targets, {"name": "g"}, ranks=[0, 1, 2, 4, 8, 16])
    space(targets, {"name": "g", "ranks": [8]}, ranks=[16])


def test_more_numbers_than_a_search_can_learn() -> None:
    many = tuple(
        Target(f"{i}.weight", f"{i}", "weight", None, "linear", 8, 8) for i in range(MOST_NUMBERS)
    )
    per_layer = {"name": "all", "per": "layer"}
    assert len(space(many[1:], per_layer).distributions) == MOST_NUMBERS
    with pytest.raises(TooManyNumbers, match=r'25 numbers.*at most 24.*"all", which has 24'):
        space(many, per_layer)
