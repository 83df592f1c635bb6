"""The optimisation history: every trial in its order, and the best so far."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from autolora.plots.look import BLUE, GREEN, GREY, ORANGE, RED, empty, figure, logarithmic
from autolora.plots.measure import SEARCH, Measure, measure, within_budget
from autolora.study.results import Results, TrialRow

TITLE = "Trial by trial"
CAPTION = (
    "Each mark is a trial in the order it ran; the green line is the best value so far that keeps "
    "the budget, faint marks were stopped early."
)
PLACE = 30


@dataclass(frozen=True)
class Mark:
    """One trial. A stopped trial is drawn at its last evaluation, a failed one has no value."""

    trial: int
    arm: str
    state: str
    value: float | None
    parameters: int
    over_budget: bool

    @property
    def group(self) -> str:
        """Which marks it looks like; see the legend."""
        if self.state != "complete":
            return {"pruned": "stopped early"}.get(self.state, self.state)
        if self.over_budget:
            return "over budget"
        return "search" if self.arm == SEARCH else "baseline"


@dataclass(frozen=True)
class History:
    """Marks by trial number; `best` pairs a trial number with the best value up to it.

    Only completed trials within the budget can be the best.
    """

    measure: Measure
    marks: tuple[Mark, ...]
    best: tuple[tuple[int, float], ...]


def data(results: Results) -> History:
    """Every trial that ended, and the running best."""
    counts = measure(results)
    trials = sorted(results.trials, key=lambda trial: trial.number)
    marks = tuple(
        Mark(
            trial=t.number,
            arm=t.arm,
            state=t.state,
            value=_value(t, counts),
            parameters=t.parameters,
            over_budget=not within_budget(results, t.parameters),
        )
        for t in trials
        if t.state in ("complete", "pruned", "failed")
    )
    return History(counts, marks, _running_best(marks, counts))


def draw(data: History) -> go.Figure:
    """The marks by group, and the best so far as a line of steps."""
    values = [mark.value for mark in data.marks if mark.value is not None]
    if not values:
        return empty("No trial has a value yet.")
    worst = max(values, key=data.measure.key)
    groups = {name: [m for m in data.marks if m.group == name] for name in _LOOKS}
    traces = [_trace(name, marks, worst) for name, marks in groups.items() if marks]
    axis = logarithmic(values, f"validation {data.measure.name}")
    few = {"dtick": 1} if data.marks[-1].trial < 12 else {}
    return figure([*traces, *_best_line(data)], x={"title": "trial", **few}, y=axis)


_LOOKS: dict[str, dict[str, Any]] = {
    "stopped early": {"color": GREY, "opacity": 0.55, "size": 7},
    "over budget": {"color": GREY, "symbol": "diamond-open", "size": 9},
    "baseline": {"color": ORANGE, "symbol": "diamond", "size": 9},
    "search": {"color": BLUE, "size": 9},
    "failed": {"color": RED, "symbol": "x-thin-open", "size": 9},
}


def _trace(name: str, marks: list[Mark], worst: float) -> go.Scatter:
    """The marks of one group; failed trials, which have no value, lie at the worst one."""
    shown = "failed" if name == "failed" else "%{y:.4f}"
    return go.Scatter(
        x=[mark.trial for mark in marks],
        y=[worst if mark.value is None else mark.value for mark in marks],
        mode="markers",
        marker=_LOOKS[name],
        name=name,
        text=[f"{mark.arm}, {mark.parameters:,} parameters" for mark in marks],
        hovertemplate=f"trial %{{x}}: {shown}<br>%{{text}}<extra>{name}</extra>",
    )


def _best_line(data: History) -> Iterator[go.Scatter]:
    if data.best:
        yield go.Scatter(
            x=[trial for trial, _ in data.best],
            y=[value for _, value in data.best],
            mode="lines",
            line={"shape": "hv", "color": GREEN, "width": 2.5},
            name="best so far",
            hovertemplate="best after trial %{x}: %{y:.4f}<extra></extra>",
        )


def _value(trial: TrialRow, counts: Measure) -> float | None:
    if trial.state == "failed":
        return None
    if trial.state == "pruned" and counts.name == "loss" and trial.curve:
        loss = trial.curve[-1].valid_loss
        return loss if math.isfinite(loss) else None
    return counts.of(trial)


def _running_best(marks: tuple[Mark, ...], counts: Measure) -> tuple[tuple[int, float], ...]:
    """One point a change, and one at the last trial, so that the line reaches to the end."""
    best: list[tuple[int, float]] = []
    for mark in marks:
        value = mark.value
        if mark.state != "complete" or mark.over_budget or value is None:
            continue
        if not best or counts.key(value) < counts.key(best[-1][1]):
            best.append((mark.trial, value))
    if best and marks[-1].trial > best[-1][0]:
        best.append((marks[-1].trial, best[-1][1]))
    return tuple(best)
