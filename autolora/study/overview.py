"""What a search space would search on a model, before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from autolora.errors import SpaceDoesNotFit, UsageError
from autolora.lora.select import outside
from autolora.lora.targets import Target, targets
from autolora.space.read import find, known, read_yaml
from autolora.space.space import Space
from autolora.space.spec import SpaceSpec
from autolora.spending.opening import largest_uniform_rank

FOLDER = "search_spaces"


@dataclass(frozen=True)
class Tied:
    """Targets that share one searched rank.

    Units: both numbers of parameters are those of the whole group.
    """

    name: str
    targets: tuple[str, ...]
    ranks: tuple[int, ...]
    parameters_per_rank: int
    parameters_largest: int


@dataclass(frozen=True)
class Limit:
    """A budget of adapter parameters, and the highest uniform rank that keeps it."""

    parameters: int
    uniform_rank: int


@dataclass(frozen=True)
class Overview:
    """A space over one model.

    Attributes:
        space: Its name.
        groups: What each number of the search is the rank of.
        learning_rate: The bounds of the range.
        scales: The scale rules with their numbers, among which the search chooses.
        numbers: How many numbers are searched together.
        uniform_parameters: What each rank costs at every target of the space.
        largest_parameters: What the largest allocation costs.
        left_out: The targets that no group takes.
        head_parameters: What is trained in full beside every adapter.
        limit: The budget that was asked about.
    """

    space: str
    groups: tuple[Tied, ...]
    learning_rate: tuple[float, float]
    scales: tuple[tuple[str, float], ...]
    numbers: int
    uniform_parameters: dict[int, int]
    largest_parameters: int
    left_out: tuple[str, ...]
    head_parameters: int
    limit: Limit | None = None


@dataclass(frozen=True)
class Asked:
    """A budget as a person gives it: parameters, or a uniform rank that has as many."""

    uniform_rank: int | None = None
    parameters: int | None = None

    def limit(self, space: Space) -> Limit | None:
        """The budget over a space; None if there is none.

        Raises:
            BudgetTooSmall: if no allocation of the space keeps it.
        """
        parameters = self.parameters
        if self.uniform_rank is not None:
            parameters = uniform_parameters(space, self.uniform_rank)
        if parameters is None:
            return None
        space.check_budget(parameters)
        return Limit(parameters, largest_uniform_rank(space, parameters))


def looked_at(
    model: nn.Module, name: str, preset: str, *, head: Sequence[str] = (), asked: Asked
) -> Overview:
    """A search space over a model.

    Args:
        model: The model; its weights do not matter.
        name: What messages call it.
        preset: The name of the space, or its YAML file.
        head: The modules trained in full; they hold no targets.
        asked: The budget.

    Raises:
        NoSuchFile: if there is no such space; it offers the nearest.
        SpaceDoesNotFit: if the space is for models of another sort.
        NoSuchModule: if the model lacks a module of the head.
        BudgetTooSmall: if no allocation of the space keeps the budget.
    """
    spec = named(preset)
    found = outside(model, head)
    try:
        space = spec.resolve(found)
    except UsageError as error:
        raise SpaceDoesNotFit(preset, name, str(error)) from error
    trained = sum(p.numel() for path in head for p in model.get_submodule(path).parameters())
    return overview(spec, space, found, head_parameters=trained, limit=asked.limit(space))


def overview(
    spec: SpaceSpec,
    space: Space,
    found: Sequence[Target],
    *,
    head_parameters: int,
    limit: Limit | None = None,
) -> Overview:
    """What `space`, which is `spec` over the targets found, searches."""
    groups = tied(spec, space)
    offered = sorted({rank for group in groups for rank in group.ranks if rank})
    taken = {target.name for target in space.targets}
    learning_rate = spec.training.learning_rate
    return Overview(
        space=spec.name,
        groups=groups,
        learning_rate=(learning_rate.low, learning_rate.high),
        scales=space.scales,
        numbers=len(space.distributions),
        uniform_parameters={rank: uniform_parameters(space, rank) for rank in offered},
        largest_parameters=sum(group.parameters_largest for group in groups),
        left_out=tuple(target.name for target in found if target.name not in taken),
        head_parameters=head_parameters,
        limit=limit,
    )


def tied(spec: SpaceSpec, space: Space) -> tuple[Tied, ...]:
    """The groups of a resolved space with what they cost."""
    cost = {target.name: target.cost for target in space.targets}
    offered = {group.name: group.ranks or spec.ranks for group in spec.groups}
    made = []
    for name, names in space.groups.items():
        ranks = offered[name.partition(".")[0]]
        each = sum(cost[target] for target in names)
        made.append(Tied(name, names, ranks, each, each * max(ranks)))
    return tuple(made)


def fitting(model: nn.Module | None) -> list[dict[str, Any]]:
    """The spaces that a bare name finds; over a model, with how much each would search.

    `targets` and `numbers` are None where a space does not fit.
    """
    rows: list[dict[str, Any]] = []
    found = () if model is None else targets(model)
    for preset in known(FOLDER):
        spec = named(preset)
        row: dict[str, Any] = {"preset": preset, "about": spec.description}
        rows.append(row if model is None else row | _searched(spec, found))
    return rows


def named(preset: str) -> SpaceSpec:
    """A search space by its name or its YAML file."""
    return read_yaml(find(preset, FOLDER), SpaceSpec)


def uniform_parameters(space: Space, rank: int) -> int:
    """What one rank at every target of a space costs."""
    return space.uniform(rank).parameters(space.targets)


def _searched(spec: SpaceSpec, found: Sequence[Target]) -> dict[str, int | None]:
    try:
        space = spec.resolve(found)
    except UsageError:
        return {"targets": None, "numbers": None}
    return {"targets": len(space.targets), "numbers": len(space.distributions)}
