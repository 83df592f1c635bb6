"""Search spaces as people write them: `search_spaces/*.yaml`."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from autolora.lora.scale import RULES
from autolora.lora.select import REGEX
from autolora.lora.targets import Target
from autolora.registry import nearest
from autolora.space.groups import split
from autolora.space.read import Strict
from autolora.space.space import Space


def _powers_of_two(ranks: tuple[int, ...]) -> tuple[int, ...]:
    some = [rank for rank in ranks if rank]
    row = [some[0] * 2**i for i in range(len(some))] if some else []
    power = bool(some) and some[0] > 0 and some[0] & (some[0] - 1) == 0
    gap = 0 in ranks and some[:1] != [1]
    if not power or some != row or list(ranks) not in ([0, *row], row) or gap:
        raise ValueError(
            "ranks are powers of two in a row, as 2, 4, 8, or from 0 (left out) as 0, 1, 2, 4"
        )
    return ranks


def _compiles(pattern: str) -> str:
    if pattern.startswith(REGEX):
        try:
            re.compile(pattern.removeprefix(REGEX))
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
Ranks = Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_powers_of_two)]


class Group(Strict):
    """Targets that are searched together, and how they are tied.

    `per` says what shares one number: the whole group, each kind, each depth, each stage (equal
    parts of the depths, `stages` of them), or each layer.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    match: tuple[Pattern, ...] = ("*",)
    kinds: tuple[str, ...] = ()
    depths: tuple[int, int] | None = None
    per: Literal["group", "kind", "depth", "stage", "layer"] = "group"
    stages: int | None = Field(default=None, ge=2, le=12)
    ranks: Ranks | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_pattern(cls, data: object) -> object:
        """A single pattern may stand without brackets."""
        if isinstance(data, dict) and isinstance(data.get("match"), str):
            return {**data, "match": [data["match"]]}
        return data

    @model_validator(mode="after")
    def _stages_with_stage(self) -> "Group":
        if (self.per == "stage") != (self.stages is not None):
            raise ValueError("`stages` goes with `per: stage`, and only with it")
        return self


class Range(Strict):
    """Numbers between two bounds, searched in the logarithm."""

    low: float = Field(gt=0, allow_inf_nan=False)
    high: float = Field(gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) is below high ({self.high})")
        return self


class Scale(Strict):
    """A scale rule and its number: the constant, or alpha."""

    rule: str = "constant"
    value: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _known(self) -> "Scale":
        if self.rule not in RULES:
            near = ", ".join(nearest(self.rule, RULES) or RULES)
            raise ValueError(f"the scale rules are {', '.join(RULES)}; nearest: {near}")
        return self


class TrainingRanges(Strict):
    """What of the training is searched; several scales are a choice."""

    learning_rate: Range
    scale: tuple[Scale, ...] = (Scale(),)

    @model_validator(mode="before")
    @classmethod
    def _one_scale(cls, data: object) -> object:
        """A single scale may stand without brackets."""
        if isinstance(data, dict) and isinstance(data.get("scale"), dict):
            return {**data, "scale": [data["scale"]]}
        return data

    @field_validator("scale")
    @classmethod
    def _distinct(cls, scales: tuple[Scale, ...]) -> tuple[Scale, ...]:
        if not scales or len(set(scales)) < len(scales):
            raise ValueError("the scales of a choice are one or several distinct ones")
        return scales


class SpaceSpec(Strict):
    """Which targets, tied how, at which ranks, trained with what."""

    schema_version: Literal[1] = 1
    name: str = "space"
    description: str = ""
    exclude: tuple[Pattern, ...] = ()
    ranks: Ranks
    groups: tuple[Group, ...] = Field(min_length=1)
    training: TrainingRanges

    @field_validator("groups")
    @classmethod
    def _distinct(cls, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        names = [group.name for group in groups]
        again = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if again is not None:
            raise ValueError(f'two groups are called "{again}"; name each differently')
        return groups

    def resolve(self, targets: Sequence[Target]) -> Space:
        """The space over the targets of a model; a target belongs to the first group it fits.

        Raises:
            NoSuchTarget: if a pattern matches no target.
            UnknownName: if the model has no target of a kind.
            RankTooHigh: if a group offers a rank that one of its targets cannot have.
            TooManyNumbers: if more than 24 numbers would be searched.
        """
        groups, ranks = split(self, targets)
        low, high = self.training.learning_rate.low, self.training.learning_rate.high
        scales = tuple((scale.rule, scale.value) for scale in self.training.scale)
        return Space.of(targets, groups, ranks, (low, high), scales)
