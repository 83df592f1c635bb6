"""What a study found, as plain data: the only thing that plots, reports and tables read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from autolora.lora.targets import Target
from autolora.spending.stage import Stage
from autolora.training.curve import CurvePoint

FloatArray = npt.NDArray[np.float64]
State = Literal["complete", "pruned", "failed", "running", "waiting"]


@dataclass(frozen=True)
class TrialRow:
    """One trial: what was tried, what it cost, what came of it.

    `arm` is "search" for the sampler's own proposals and names the baseline otherwise:
    "head only", "uniform 2", … `loss` and `metrics` are of the best checkpoint on the
    validation split; both are empty while a trial has none.
    `reused_from` is the trial whose stored result answered the same configuration.
    """

    number: int
    arm: str
    state: State
    allocation: Mapping[str, int]
    configuration: Mapping[str, Any]
    parameters: int
    loss: float | None
    metrics: Mapping[str, float]
    curve: tuple[CurvePoint, ...]
    example_passes: int
    seconds: float
    peak_bytes: int
    started: float | None
    reason: str | None
    reused_from: int | None


@dataclass(frozen=True)
class FinalRow:
    """One arm at one seed, measured once on the test split; low and high bound 95 %."""

    arm: str
    trial: int
    seed: int
    parameters: int
    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LossRow:
    """The loss of each test example under one arm at one seed, in the order of the split.

    Shapes: losses, weights (examples,).
    """

    arm: str
    seed: int
    losses: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class WorkRow:
    """What a strategy that does its own work did at a seed: its ledger, and what led to it."""

    arm: str
    seed: int
    ledger: tuple[Stage, ...]
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """A study as stored.

    `objective` names what is optimised, first the metric; `directions` says how, in the same
    order ("minimize" or "maximize"). `best` is the best complete trial within the budget, of
    whatever arm: if a uniform allocation wins, it is handed back. `head_parameters` counts what
    every arm trains beside its adapter. `importance` maps each searched number to its share
    (PED-ANOVA).
    """

    name: str
    description: Mapping[str, Any]
    targets: tuple[Target, ...]
    objective: tuple[str, ...]
    directions: tuple[str, ...]
    budget_parameters: int | None
    head_parameters: int
    trials: tuple[TrialRow, ...]
    finals: tuple[FinalRow, ...]
    importance: Mapping[str, float]
    groups: Mapping[str, tuple[str, ...]]
    best: int | None
    versions: Mapping[str, str]
    works: tuple[WorkRow, ...] = ()
    losses: tuple[LossRow, ...] = ()

    def best_of_arms(self) -> dict[str, TrialRow]:
        """The best complete trial of every arm, by the objective."""
        best: dict[str, TrialRow] = {}
        for trial in self.trials:
            if trial.state != "complete" or trial.loss is None:
                continue
            if trial.arm not in best or self.score(trial) < self.score(best[trial.arm]):
                best[trial.arm] = trial
        return best

    def score(self, trial: TrialRow) -> float:
        """The first objective of a complete trial, less is better."""
        sign = 1 if self.directions[0] == "minimize" else -1
        name = self.objective[0]
        assert trial.loss is not None, "a complete trial has one"
        return sign * (trial.loss if name == "loss" else trial.metrics[name])

    def current(self) -> "Results":
        """Without what was measured of trials that are not the best of their arms any more.

        A study that goes on with more trials finds better ones, which are measured anew.
        """
        best = {arm: trial.number for arm, trial in self.best_of_arms().items()}
        finals = tuple(f for f in self.finals if best.get(f.arm) == f.trial)
        measured = {(f.arm, f.seed) for f in finals}
        losses = tuple(row for row in self.losses if (row.arm, row.seed) in measured)
        return replace(self, finals=finals, losses=losses)
