"""Quality against size: the metric over adapter parameters, and the front."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from autolora.plots.look import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    empty,
    figure,
    label,
    logarithmic,
    number,
)
from autolora.plots.measure import HEAD_ONLY, SEARCH, Measure, is_uniform, measure, ranking
from autolora.study.front import front as sizes
from autolora.study.results import Results

TITLE = "Quality against size"
CAPTION = (
    "Each dot is a completed trial; the blue line joins the search's best at each size, the orange "
    "one the uniform ranks, so blue on the better side of orange is what a search is for."
)
PLACE = 10


@dataclass(frozen=True)
class Point:
    """One completed trial."""

    label: str
    parameters: int
    value: float


@dataclass(frozen=True)
class Pareto:
    """Trials of the search, its front (smaller or better than all others), the baselines.

    `uniform` holds the best trial of each uniform rank by size, `beside` that of each strategy
    beside the search; `head_only` is the value of the best trial without an adapter.
    """

    measure: Measure
    search: tuple[Point, ...]
    front: tuple[Point, ...]
    uniform: tuple[Point, ...]
    beside: tuple[Point, ...]
    head_only: float | None
    budget_parameters: int | None


def data(results: Results) -> Pareto:
    """The completed trials by arm."""
    counts = measure(results)
    search: list[Point] = []
    uniform: dict[str, Point] = {}
    beside: dict[str, Point] = {}
    heads: list[float] = []
    for scored in ranking(results):
        point = Point(label(scored), scored.trial.parameters, scored.value)
        if scored.trial.arm == SEARCH:
            search.append(point)
        elif is_uniform(scored.trial.arm):
            uniform.setdefault(scored.trial.arm, point)
        elif scored.trial.arm == HEAD_ONLY:
            heads.append(scored.value)
        else:
            beside.setdefault(scored.trial.arm, point)
    if counts.name == "loss":  # sizes that one trial trained are known by their loss
        search += [
            Point(f"{size.chosen}, budget {size.budget:,}", size.parameters, size.loss)
            for size in sizes(results, SEARCH)[:-1]  # the last is the trial itself
        ]
    return Pareto(
        measure=counts,
        search=tuple(search),
        front=front(tuple(search), counts),
        uniform=tuple(sorted(uniform.values(), key=lambda point: point.parameters)),
        beside=tuple(beside.values()),
        head_only=heads[0] if heads else None,
        budget_parameters=results.budget_parameters,
    )


def front(points: tuple[Point, ...], counts: Measure) -> tuple[Point, ...]:
    """The points that no other beats in both size and value, by growing size."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.parameters, counts.key(p.value))):
        if not kept or counts.key(point.value) < counts.key(kept[-1].value):
            kept.append(point)
    return tuple(kept)


def draw(data: Pareto) -> go.Figure:
    """Dots, the front as steps, uniform ranks joined, budget and head-only as lines."""
    points = data.search + data.uniform + data.beside
    if not points:
        return empty("No trial with an adapter is complete yet.")
    values = [point.value for point in points]
    values += [] if data.head_only is None else [data.head_only]
    traces = [
        _dots(data.search, "search", {"color": BLUE, "opacity": 0.5, "size": 8}),
        _line(data.front, "best found by size", {"shape": "hv", "color": BLUE, "width": 2.5}),
        _line(data.uniform, "uniform ranks", {"color": ORANGE, "width": 2.5, "dash": "dash"}),
    ]
    if data.beside:
        look = {"color": PURPLE, "size": 10, "symbol": "square"}
        traces.append(_dots(data.beside, "other strategies", look))
    if data.head_only is not None:
        traces.append(_head_only(data.head_only, [point.parameters for point in points]))
    sizes = [point.parameters for point in points]
    sizes += [] if data.budget_parameters is None else [data.budget_parameters]
    return figure(
        [trace for trace in traces if len(trace.x)],
        x=logarithmic(sizes, "adapter parameters", spread=6),
        y=logarithmic(values, f"validation {data.measure.name}"),
        height=370,
        **_budget(data.budget_parameters),
    )


def _dots(points: tuple[Point, ...], name: str, look: dict[str, Any]) -> go.Scatter:
    return go.Scatter(
        **_coordinates(points),
        mode="markers",
        marker=look,
        name=name,
        hovertemplate=f"%{{text}}<br>%{{x:,}} parameters: %{{y:.4f}}<extra>{name}</extra>",
    )


def _line(points: tuple[Point, ...], name: str, line: dict[str, Any]) -> go.Scatter:
    return go.Scatter(
        **_coordinates(points),
        mode="lines+markers",
        line=line,
        marker={"size": 9, "color": line["color"], "symbol": "diamond" if "dash" in line else 0},
        name=name,
        hovertemplate=f"%{{text}}<br>%{{x:,}} parameters: %{{y:.4f}}<extra>{name}</extra>",
    )


def _coordinates(points: tuple[Point, ...]) -> dict[str, Any]:
    return {
        "x": [point.parameters for point in points],
        "y": [point.value for point in points],
        "text": [point.label for point in points],
    }


def _head_only(value: float, sizes: list[int]) -> go.Scatter:
    """A level, since a head alone has no size that a logarithmic axis could show."""
    return go.Scatter(
        x=[min(sizes), max(sizes)],
        y=[value, value],
        mode="lines",
        line={"color": GREY, "width": 1.5, "dash": "dot"},
        name="head only",
        hovertemplate="head only, no adapter: %{y:.4f}<extra></extra>",
    )


def _budget(parameters: int | None) -> dict[str, Any]:
    if parameters is None:
        return {}
    line = {
        "type": "line",
        "x0": parameters,
        "x1": parameters,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": RED, "width": 1.5, "dash": "dot"},
        "showlegend": True,
        "name": f"budget {number(parameters)}",
    }
    return {"shapes": [line]}
