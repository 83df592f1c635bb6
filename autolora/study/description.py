"""Studies as people write them: `studies/*.yaml`."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal, get_type_hints

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from autolora import backends, pruners, samplers, strategies, tasks
from autolora.errors import UnknownName
from autolora.registry import load, options
from autolora.space.read import Strict, find, read_yaml, validate
from autolora.space.spec import SpaceSpec
from autolora.study.lease import Tenure
from autolora.training.settings import TrainingSettings

# What may change between runs of one study: how long it goes on, and where.
_MAY_CHANGE: Any = {
    "budget": {"trials", "seconds", "example_passes"},
    "backend": True,
    "confirm": True,
}


USUAL_FT = 2.0  # of a strategy that does its own work, where the budget counts otherwise


class Objective(Strict):
    """What is optimised: a metric of the task, alone or together with the adapter's size."""

    metric: str = "loss"
    direction: Literal["minimize", "maximize"] = "minimize"
    and_parameters: bool = False


class Budget(Strict):
    """When the search ends, and how many parameters an adapter may have.

    `ft` counts fine-tunes: a run of the study's own length each, in example-passes, what runs
    beside the search not among them. `uniform_rank` stands for the parameters of that uniform
    allocation.
    """

    ft: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    trials: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    example_passes: int | None = Field(default=None, ge=1)
    parameters: int | None = Field(default=None, ge=0)
    uniform_rank: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_size(self) -> "Budget":
        if self.parameters is not None and self.uniform_rank is not None:
            raise ValueError("parameters and uniform_rank say the same thing; give one of them")
        return self

    @property
    def ends(self) -> bool:
        """Whether anything ends it."""
        limits = (self.ft, self.trials, self.seconds, self.example_passes)
        return any(limit is not None for limit in limits)


class Baselines(Strict):
    """What runs beside the search: uniform ranks, at how many learning rates each, strategies.

    A strategy among them does its own work within the same budgets; its arm has its name.
    """

    uniform_ranks: tuple[int, ...] = ()
    learning_rates: int = Field(default=3, ge=1, le=20)
    strategies: tuple[dict[str, Any], ...] = ()

    @field_validator("strategies", mode="before")
    @classmethod
    def _working(cls, given: Any) -> Any:
        named = [_strategy(each) for each in given] if isinstance(given, list | tuple) else given
        for each in named:
            if not strategies.works(_case(strategies, each["name"])):
                raise ValueError(f"{each['name']} is no baseline; it proposes trials of its own")
        return named

    @field_validator("uniform_ranks")
    @classmethod
    def _positive(cls, ranks: tuple[int, ...]) -> tuple[int, ...]:
        if any(rank < 1 for rank in ranks):
            raise ValueError("uniform ranks are 1 or more; the head alone is always in the race")
        return ranks


class Confirm(Strict):
    """With how many paired seeds the finished arms are measured on the test split."""

    seeds: int = Field(default=3, ge=1, le=100)


class Backend(Strict):
    """Where trials run, and how they survive that.

    Units: a worker that gives no sign of life for `lease_seconds` loses its trial, which is tried
    again up to `retries` times. Where a trial stands is kept at each evaluation if that takes at
    most `checkpoint_bytes`; 0 keeps nothing. `cpus` and `gpus` are those of one trial, shares of
    one too, on the cluster at `address`: "auto" is that of this machine; without one, a cluster is
    started here for as long as it is needed. These three are for backends that place trials.
    """

    name: str = "process"
    workers: int = Field(default=2, ge=1, le=1024)
    lease_seconds: float = Field(default=60.0, ge=2, allow_inf_nan=False)
    retries: int = Field(default=4, ge=0, le=100)
    checkpoint_bytes: int = Field(default=64 * 2**20, ge=0)
    cpus: float | None = Field(default=None, gt=0, le=1024)
    gpus: float | None = Field(default=None, ge=0, le=64)
    address: str | None = Field(default=None, max_length=512)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        _case(backends, name)
        return name

    @model_validator(mode="after")
    def _places(self) -> "Backend":
        """Only backends that place single trials are told where."""
        if hasattr(load(backends, self.name), "schedule"):
            return self
        given = [key for key in ("cpus", "gpus", "address") if getattr(self, key) is not None]
        if given:
            raise ValueError(
                f"{self.name} places no single trials: leave out {' and '.join(given)}, "
                "or take the backend ray_tune"
            )
        return self

    @property
    def tenure(self) -> Tenure:
        """How a worker holds its trials."""
        return Tenure(self.lease_seconds, self.retries, self.checkpoint_bytes)


class StudySpec(Strict):
    """A study: task, space, strategy, budget, seed.

    `strategy`, `sampler` and `pruner` hold a name and options; after reading they hold every
    option, also those left to their defaults. Without a strategy it is nest, with a budget of 2 FT
    unless it says something else; or optuna, where the budget counts trials.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    task: dict[str, Any]
    space: str | SpaceSpec
    training: TrainingSettings = TrainingSettings(steps=200)
    objective: Objective = Objective()
    strategy: dict[str, Any] = Field(default={}, validate_default=True)
    sampler: dict[str, Any] = Field(default={"name": "tpe"}, validate_default=True)
    pruner: dict[str, Any] = Field(default={"name": "median"}, validate_default=True)
    budget: Budget
    baselines: Baselines = Baselines()
    confirm: Confirm = Confirm()
    backend: Backend = Backend()
    self_check: bool = True
    seed: int = Field(default=0, ge=0)

    @field_validator("task")
    @classmethod
    def _typed(cls, task: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(task.get("type"), str):
            raise ValueError("a task says its type: image, …")  # noqa: TRY004 — pydantic's way
        _case(tasks, task["type"])
        return task

    @field_validator("sampler")
    @classmethod
    def _sampler_options(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        complete = _complete(samplers, "sampler", given)
        objective, name = info.data.get("objective"), complete["name"]
        several = getattr(_case(samplers, name), "SEVERAL_OBJECTIVES", True)
        if objective and objective.and_parameters and not several:
            raise ValueError(f"{name} takes one objective; drop and_parameters or take nsga2")
        return complete

    @field_validator("pruner")
    @classmethod
    def _pruner_options(cls, given: dict[str, Any]) -> dict[str, Any]:
        return _complete(pruners, "pruner", given)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """What a missing strategy and a missing end of the budget stand for."""
        if not isinstance(data, dict) or not isinstance(data.get("budget"), dict):
            return data
        budget = data["budget"]
        if not data.get("strategy"):
            data = {**data, "strategy": "nest" if budget.get("trials") is None else "optuna"}
        counted = [budget.get(key) for key in ("ft", "trials", "example_passes")]
        if all(count is None for count in counted) and _is_work(_name(data["strategy"])):
            data = {**data, "budget": {**budget, "ft": USUAL_FT}}
        return data

    @field_validator("strategy", mode="before")
    @classmethod
    def _strategy_options(cls, given: Any) -> dict[str, Any]:
        return _strategy(given)

    @model_validator(mode="after")
    def _budget_fits(self) -> "StudySpec":
        """Budgets are those that the strategy knows."""
        name, budget = self.strategy["name"], self.budget
        if self.works:
            if budget.trials is not None:
                raise ValueError(f"{name} counts no trials; give budget.ft, as 2.0")
            if self.objective.and_parameters:
                raise ValueError(f"{name} takes one objective; drop and_parameters")
        elif not budget.ends and getattr(_case(strategies, name), "SAMPLES", True):
            raise ValueError("a budget needs an end: trials, ft, seconds or example_passes")
        works = self.works or self.baselines.strategies
        if works and budget.parameters is None and budget.uniform_rank is None:
            raise ValueError(f"{name} allocates a budget; give budget.uniform_rank or parameters")
        return self

    @property
    def works(self) -> bool:
        """Whether the strategy does its own work, rather than proposing trials."""
        return strategies.works(_case(strategies, self.strategy["name"]))

    def digest(self) -> str:
        """Equal for descriptions of the same study; it may go on longer, or elsewhere."""
        fixed = self.model_dump(mode="json", exclude=_MAY_CHANGE)
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()

    def with_trials(self, trials: int) -> "StudySpec":
        """The same study with another number of trials.

        Raises:
            BadValue: if its strategy counts none.
        """
        data = self.model_dump()
        data["budget"]["trials"] = trials
        return validate(data, StudySpec, "the study")

    def with_strategy(self, name: str | None, fine_tunes: float | None) -> "StudySpec":
        """The study with another strategy, or another budget of compute, in FT.

        What ended the search before ends it no more where the new one counts otherwise.

        Raises:
            BadValue: if there is no such strategy.
        """
        data = self.model_dump()
        budget = data["budget"]
        if name is not None:
            data["strategy"] = name
            if _is_work(name):
                budget["trials"] = None
        if fine_tunes is not None:
            budget |= {"ft": fine_tunes, "trials": None, "seconds": None, "example_passes": None}
        return validate(data, StudySpec, "the study")


def read_study(name: str | os.PathLike[str]) -> StudySpec:
    """A study by its file, or by the name of a file in `studies/`; its space is read with it.

    Raises:
        NoSuchFile, BadYaml, UnknownKey, BadValue: as `read_yaml` does.
    """
    spec = read_yaml(find(name, "studies"), StudySpec)
    return with_space(spec)


def described(data: Mapping[str, Any]) -> StudySpec:
    """A study from plain data, as it stands in a database or is given in Python."""
    return with_space(validate(dict(data), StudySpec, "the study"))


def with_space(spec: StudySpec) -> StudySpec:
    """The study with its space read in, so that the description says everything."""
    if isinstance(spec.space, SpaceSpec):
        return spec
    space = read_yaml(find(spec.space, "search_spaces"), SpaceSpec)
    return spec.model_copy(update={"space": space})


def _complete(folder: ModuleType, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    rest = dict(given)
    name = rest.pop("name", None)
    if not isinstance(name, str):
        raise ValueError(f"a {kind} says its name")  # noqa: TRY004 — pydantic's way
    function = getattr(_case(folder, name), kind, None)
    if function is None:
        raise ValueError(f"{name} has no function {kind}")
    try:
        every = options(function, rest, f"option of the {kind} {name}")
    except UnknownName as error:
        raise ValueError(str(error)) from None
    return {"name": name, **{key: _typed(function, key, value) for key, value in every.items()}}


def _strategy(given: Any) -> dict[str, Any]:
    """A strategy by name, or with options: with every option it has."""
    rest = {"name": given} if isinstance(given, str) else dict(given or {})
    name, arm = rest.pop("name", None), rest.pop("arm", None)
    if not isinstance(name, str):
        raise ValueError("a strategy says its name")  # noqa: TRY004 — pydantic's way
    model = getattr(_case(strategies, name), "OPTIONS", Strict)
    try:
        complete = {"name": name, **model.model_validate(rest).model_dump(mode="json")}
        return complete if arm is None else {**complete, "arm": str(arm)}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(model.model_fields) or "none"
        raise ValueError(f"{where} of {name}: {first['msg']}; its options are {known}") from None


def _name(strategy: Any) -> Any:
    return strategy.get("name") if isinstance(strategy, Mapping) else strategy


def _is_work(name: Any) -> bool:
    """Whether a strategy of that name does its own work; an unknown one is refused elsewhere."""
    try:
        return strategies.works(load(strategies, name))
    except (UnknownName, ImportError, TypeError):
        return False


def _case(folder: ModuleType, name: str) -> ModuleType:
    """A case of a folder; pydantic adds to what is wrong where it stands."""
    try:
        return load(folder, name)
    except (UnknownName, ImportError) as error:
        raise ValueError(str(error)) from None


def _typed(function: Callable[..., Any], option: str, value: Any) -> Any:
    """The value of an option, checked against the type that the function gives it."""
    types = get_type_hints(function, include_extras=True)
    try:
        return TypeAdapter(types.get(option, Any)).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{option} is {value!r}: {first['msg']}") from None
