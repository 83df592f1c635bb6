"""Selection by glob, regular expression, kind, block and depth."""

import pytest
from torch import nn

from autolora.errors import BadPattern, NoSuchTarget, UnknownName
from autolora.lora import Target, select, targets

ATTENTION = ("query", "key", "value")


@pytest.fixture
def known(model: nn.Module) -> tuple[Target, ...]:
    return targets(model)


def names(chosen: tuple[Target, ...]) -> list[str]:
    return [t.name for t in chosen]


def at(depth: int, *blocks: str) -> list[str]:
    return [f"blocks.{depth}.in_proj_weight[{block}]" for block in blocks]


PATTERNS: dict[str, list[str]] = {
    "stem.weight": ["stem.weight"],
    "*.weight": ["stem.weight", *(f"blocks.{i}.out_proj.weight" for i in range(3)), "head.weight"],
    "?ead.weight": ["head.weight"],
    "blocks.1.*": [*at(1, *ATTENTION), "blocks.1.out_proj.weight"],
    "blocks.0.in_proj_weight[key]": at(0, "key"),  # brackets are no character class
    "*[value]": [name for i in range(3) for name in at(i, "value")],
    "re:head.*|stem.*": ["stem.weight", "head.weight"],
    r"re:blocks\.[02]\..*\[query\]": [*at(0, "query"), *at(2, "query")],
}


@pytest.mark.parametrize(("pattern", "wanted"), PATTERNS.items(), ids=PATTERNS)
def test_patterns(known: tuple[Target, ...], pattern: str, wanted: list[str]) -> None:
    assert names(select(known, [pattern])) == wanted


def test_several_patterns_keep_the_order_of_the_model(known: tuple[Target, ...]) -> None:
    assert names(select(known, ["head*", "stem*", "*ead*"])) == ["stem.weight", "head.weight"]
    assert select(known) == known


def test_every_condition_must_hold(known: tuple[Target, ...]) -> None:
    assert names(select(known, kinds=["linear", "conv"])) == ["stem.weight", "head.weight"]
    chosen = select(known, ["blocks.*"], blocks=["key", "query"], depths=(1, 2))
    assert names(chosen) == [*at(1, "query", "key"), *at(2, "query", "key")]
    assert select(known, ["stem*"], kinds=["linear"]) == ()
    assert names(select(known, kinds=["attention_output"], depths=(2, 9))) == [
        "blocks.2.out_proj.weight"
    ]


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("haed.weight", "head.weight"),
        ("blocks.0.in_proj_weight[quary]", "blocks.0.in_proj_weight[query]"),
        ("head", "head.weight"),  # a pattern means the whole name
        ("re:blocks", "blocks"),
    ],
)
def test_what_matches_nothing_is_an_error(
    known: tuple[Target, ...], pattern: str, near: str
) -> None:
    with pytest.raises(NoSuchTarget) as error:
        select(known, ["*", pattern])
    assert str(error.value).startswith(f'no target matches "{pattern}"; nearest: ')
    assert near in str(error.value)
    assert str(error.value).endswith("List them with: autolora targets MODEL")


def test_nothing_looks_alike() -> None:
    with pytest.raises(NoSuchTarget, match="nearest: none that look alike"):
        select((), ["head"])


def test_a_broken_expression(known: tuple[Target, ...]) -> None:
    with pytest.raises(BadPattern, match=r"re:\("):
        select(known, ["re:("])


def test_unknown_kinds_and_blocks(known: tuple[Target, ...]) -> None:
    with pytest.raises(UnknownName, match=r'^no kind called "convolution"; there are attention_o'):
        select(known, kinds=["convolution"])
    with pytest.raises(UnknownName, match=r'^no block called "q"; there are key, query, value$'):
        select(known, blocks=["q"])
