"""The final comparison: each arm on the test split, with its interval and its seeds."""

from collections.abc import Iterator
from dataclasses import dataclass

import plotly.graph_objects as go

from autolora.plots.look import GREY, colour, empty, figure
from autolora.plots.measure import measure
from autolora.plots.table import Mean, table
from autolora.study.results import Results

TITLE = "The test, opened once"
CAPTION = (
    "Bars span 95 %; thin lines join runs with the same seed, so lines that all lean one way "
    "tell more than bars that overlap."
)
PLACE = 15


@dataclass(frozen=True)
class Arm:
    """One arm: the mean with its interval, and (seed, value) pairs."""

    arm: str
    mean: Mean
    seeds: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Intervals:
    """Arms in the order of the result table, on the metric that the study optimises."""

    metric: str
    hint: str
    arms: tuple[Arm, ...]


def data(results: Results) -> Intervals:
    """The confirmed arms."""
    counts = measure(results)
    arms = [
        Arm(row.arm, mean, _seeds(results, row.arm, counts.name))
        for row in table(results)
        for mean in row.test
        if mean.metric == counts.name
    ]
    return Intervals(counts.name, counts.hint, tuple(arms))


def draw(data: Intervals) -> go.Figure:
    """Arms below each other, the best on top."""
    if not data.arms:
        return empty("No arm has been measured on the test split yet.")
    return figure(
        [*_paired(data), *(_arm(arm) for arm in data.arms)],
        x=f"test {data.hint}",
        y={
            "title": None,
            "ticklabelstandoff": 6,
            "categoryorder": "array",
            "categoryarray": [arm.arm for arm in reversed(data.arms)],
            "range": [-0.6, len(data.arms) - 0.4],
        },
        height=max(400, 110 + 44 * len(data.arms)),
        showlegend=False,
    )


def _arm(arm: Arm) -> go.Scatter:
    return go.Scatter(
        x=[arm.mean.value],
        y=[arm.arm],
        error_x={
            "array": [arm.mean.high - arm.mean.value],
            "arrayminus": [arm.mean.value - arm.mean.low],
            "thickness": 3,
            "width": 6,
        },
        mode="markers",
        marker={"size": 12, "color": colour(arm.arm)},
        name=arm.arm,
        hovertemplate=(
            f"%{{y}}: %{{x:.4f}}<br>95 % {arm.mean.low:.4f} to {arm.mean.high:.4f}, "
            f"{arm.mean.seeds} seeds<extra></extra>"
        ),
    )


def _paired(data: Intervals) -> Iterator[go.Scatter]:
    """One thin line a seed through all arms."""
    for seed in dict.fromkeys(seed for arm in data.arms for seed, _ in arm.seeds):
        points = [(arm.arm, dict(arm.seeds)[seed]) for arm in data.arms if seed in dict(arm.seeds)]
        yield go.Scatter(
            x=[value for _, value in points],
            y=[arm for arm, _ in points],
            mode="lines+markers",
            line={"color": GREY, "width": 1},
            marker={"size": 5, "color": GREY},
            opacity=0.7,
            name=f"seed {seed}",
            hovertemplate=f"%{{y}}, seed {seed}: %{{x:.4f}}<extra></extra>",
        )


def _seeds(results: Results, arm: str, metric: str) -> tuple[tuple[int, float], ...]:
    return tuple(
        (final.seed, final.value)
        for final in results.finals
        if (final.arm, final.metric) == (arm, metric)
    )
