"""What is written about a study and its trials, as plain values."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from autolora.lora.targets import Target
from autolora.study.reasons import Kind
from autolora.training.curve import Ledger

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class StudyRecord:
    """A study as it is created.

    `digest` tells descriptions apart: equal digests are the same study. `objective` names what is
    optimised and `directions` says how, "minimize" or "maximize", in the same order.
    """

    digest: str
    description: Mapping[str, Any]
    targets: tuple[Target, ...]
    groups: Mapping[str, tuple[str, ...]]
    objective: tuple[str, ...]
    directions: tuple[Direction, ...]
    budget_parameters: int | None
    head_parameters: int
    versions: Mapping[str, str] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The record as columns of its table."""
        columns = ("digest", "budget_parameters", "head_parameters")
        return {column: getattr(self, column) for column in columns} | {
            "description": dict(self.description),
            "targets": [asdict(target) for target in self.targets],
            "groups": {group: list(names) for group, names in self.groups.items()},
            "objective": list(self.objective),
            "directions": list(self.directions),
            "versions": dict(self.versions),
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "StudyRecord":
        """The record that was stored as `row`."""
        return cls(
            digest=row["digest"],
            description=row["description"],
            targets=tuple(Target(**target) for target in row["targets"]),
            groups={group: tuple(names) for group, names in row["groups"].items()},
            objective=tuple(row["objective"]),
            directions=tuple(row["directions"]),
            budget_parameters=row["budget_parameters"],
            head_parameters=row["head_parameters"],
            versions=row["versions"],
        )


@dataclass(frozen=True)
class Plan:
    """What a trial is about to train.

    `digest` is that of the whole configuration: trials of equal digest train the same thing.
    `parameters` counts the adapter's, without the head.
    """

    digest: str
    allocation: Mapping[str, int]
    configuration: Mapping[str, Any]
    parameters: int
    arm: str = "search"


class Claim(NamedTuple):
    """Who trains a configuration.

    "new": the trial that asked. "finished": `trial` did, its result is stored. "running": `trial`
    is at it.
    """

    state: Literal["new", "finished", "running"]
    trial: int


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    `objectives` are the values of a complete trial, in the order of the study's objective.
    `reason` says why a trial is not complete: "pruned", "diverged", "error: …"; `kind` sorts the
    reasons. `plan` is what was trained, where that was not known when the trial began.
    """

    state: Literal["complete", "pruned", "failed"]
    ledger: Ledger
    objectives: tuple[float, ...] = ()
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    plan: Plan | None = None
    kind: Kind | None = None

    @property
    def ended_as(self) -> Kind:
        """The kind of its end, also where that was not said."""
        if self.kind is not None:
            return self.kind
        if self.state == "failed":
            return "diverged" if self.reason == "diverged" else "bug"
        return "pruned" if self.state == "pruned" else "finished"

    def settled(self) -> "Outcome":
        """The outcome; a complete one whose objectives are no numbers has diverged instead."""
        if self.state != "complete" or all(map(math.isfinite, self.objectives)):
            return self
        return Outcome("failed", self.ledger, reason="diverged", kind="diverged")

    def row(self) -> dict[str, Any]:
        """The outcome as columns of the trials' table."""
        return {
            "state": self.state,
            "objectives": list(self.objectives),
            "loss": self.loss,
            "metrics": {n: v for n, v in self.metrics.items() if math.isfinite(v)},
            "reason": self.reason or (self.state if self.state == "pruned" else None),
            **asdict(self.ledger),
            **(self._planned(self.plan) if self.plan else {}),
        }

    @staticmethod
    def _planned(plan: Plan) -> dict[str, Any]:
        return {
            "allocation": dict(plan.allocation),
            "configuration": dict(plan.configuration),
            "parameters": plan.parameters,
        }
