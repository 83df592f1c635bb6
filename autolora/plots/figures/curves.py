"""Learning curves: the validation loss of each trial while it trained."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from autolora.plots.look import BLUE, GREEN, GREY, ORANGE, empty, figure, logarithmic
from autolora.plots.measure import SEARCH, ranking
from autolora.study.results import Results, TrialRow

TITLE = "How the trials learned"
CAPTION = (
    "The validation loss at each evaluation; faint lines were stopped early, the thick green one "
    "is the best trial."
)
PLACE = 40
MOST = 120


@dataclass(frozen=True)
class Curve:
    """The validation loss of one trial by step."""

    trial: int
    arm: str
    state: str
    best: bool
    steps: tuple[int, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """Curves by trial number; `left_out` counts those beyond what an eye can tell apart."""

    curves: tuple[Curve, ...]
    left_out: int


def data(results: Results) -> Curves:
    """The curve of every trial that trained; of very many, the best and then the latest."""
    order = [scored.trial.number for scored in ranking(results)]
    best = _trained_as(results, next(iter(order), None))
    trained = [t for t in results.trials if t.curve and t.reused_from is None]
    place = {number: i for i, number in enumerate(order)}
    trained.sort(key=lambda t: (place.get(t.number, len(order)), -t.number))
    kept = sorted(trained[:MOST], key=lambda t: t.number)
    return Curves(tuple(_curve(t, best) for t in kept), len(trained) - len(kept))


def _trained_as(results: Results, first: int | None) -> int | None:
    """The trial that trained the best result: a reused one has no curve of its own."""
    best = results.best if results.best is not None else first
    reused = {trial.number: trial.reused_from for trial in results.trials}
    original = None if best is None else reused.get(best)
    return best if original is None else original


def draw(data: Curves) -> go.Figure:
    """One trace a group of curves, so that the legend stays short."""
    if not data.curves:
        return empty("No trial has been evaluated yet.")
    losses = [loss for curve in data.curves for loss in curve.losses]
    traces = [
        _joined(name, curves, line, opacity)
        for name, line, opacity, wanted in _GROUPS
        if (curves := [curve for curve in data.curves if _group(curve) == wanted])
    ]
    return figure(
        traces,
        x={"title": "step", "rangemode": "tozero"},
        y=logarithmic(losses, "validation loss"),
    )


_GROUPS = (
    ("stopped early", {"color": GREY, "width": 1}, 0.45, "stopped"),
    ("baselines", {"color": ORANGE, "width": 1.2}, 0.7, "baseline"),
    ("search", {"color": BLUE, "width": 1.2}, 0.7, "search"),
    ("best trial", {"color": GREEN, "width": 3.5}, 1.0, "best"),
)


def _group(curve: Curve) -> str:
    if curve.best:
        return "best"
    if curve.state != "complete":
        return "stopped"
    return "search" if curve.arm == SEARCH else "baseline"


def _joined(name: str, curves: Iterable[Curve], line: Any, opacity: float) -> go.Scatter:
    """Several curves as one trace, with a gap between two."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    labels: list[str] = []
    for curve in curves:
        xs += [*curve.steps, None]
        ys += [*curve.losses, None]
        labels += [f"#{curve.trial} {curve.arm}"] * (len(curve.steps) + 1)
    return go.Scatter(
        x=xs,
        y=ys,
        text=labels,
        mode="lines",
        line=line,
        opacity=opacity,
        name=name,
        hovertemplate="%{text}<br>step %{x}: %{y:.4f}<extra></extra>",
    )


def _curve(trial: TrialRow, best: int | None) -> Curve:
    return Curve(
        trial=trial.number,
        arm=trial.arm,
        state=trial.state,
        best=trial.number == best,
        steps=tuple(point.step for point in trial.curve),
        losses=tuple(point.valid_loss for point in trial.curve),
    )
