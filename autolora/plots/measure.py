"""Which number of a trial counts, and which way is better."""

import math
from dataclasses import dataclass

from autolora.study.results import Results, TrialRow


@dataclass(frozen=True)
class Measure:
    """The metric that a study optimises, read on the validation split."""

    name: str
    lower_is_better: bool

    def of(self, trial: TrialRow) -> float | None:
        """The trial's value; none before its first checkpoint, nor where training diverged.

        The loss a trial reports stands in `loss`; every other metric is looked up by name.
        """
        value = trial.metrics.get(self.name, trial.loss if self.name == "loss" else None)
        return value if value is not None and math.isfinite(value) else None

    def key(self, value: float) -> float:
        """A number that is smaller for better values.

        >>> Measure("accuracy", lower_is_better=False).key(0.9)
        -0.9
        """
        return value if self.lower_is_better else -value

    @property
    def hint(self) -> str:
        """For an axis: "loss, lower is better"."""
        return f"{self.name}, {'lower' if self.lower_is_better else 'higher'} is better"


@dataclass(frozen=True)
class Scored:
    """A trial that ran to its end, with the value that counts."""

    trial: TrialRow
    value: float


def measure(results: Results) -> Measure:
    """The first objective: by convention the metric."""
    name = results.objective[0] if results.objective else "loss"
    direction = results.directions[0] if results.directions else "minimize"
    return Measure(name, direction == "minimize")


def ranking(results: Results) -> tuple[Scored, ...]:
    """Completed trials, best first; the earlier of two equals first."""
    counts = measure(results)
    scored = [
        Scored(trial, value)
        for trial in results.trials
        if trial.state == "complete" and (value := counts.of(trial)) is not None
    ]
    return tuple(sorted(scored, key=lambda s: (counts.key(s.value), s.trial.number)))


def within_budget(results: Results, parameters: int) -> bool:
    """Whether an allocation of this size may win."""
    return results.budget_parameters is None or parameters <= results.budget_parameters


def is_uniform(arm: str) -> bool:
    """Whether an arm gives every target the same rank, above 0."""
    return arm.startswith("uniform")


HEAD_ONLY = "head only"
SEARCH = "search"
