"""Which of the searched numbers decided the outcome."""

from dataclasses import dataclass

import plotly.graph_objects as go

from autolora.plots.look import BLUE, empty, figure
from autolora.plots.measure import SEARCH
from autolora.study.results import Results

TITLE = "What mattered"
CAPTION = (
    "The share of each searched number in the difference between good and other trials "
    "(PED-ANOVA); with few trials, take it as a hint."
)
PLACE = 50
MOST = 20


@dataclass(frozen=True)
class Share:
    """One searched number, its share of the whole, and how many targets it sets."""

    name: str
    share: float
    targets: int


@dataclass(frozen=True)
class Importance:
    """Shares, the largest first."""

    shares: tuple[Share, ...]


def applies(results: Results) -> bool:
    """Whether a sampler searched numbers: a strategy that does its own work has none."""
    worked = {work.arm for work in results.works}
    return bool(results.importance) or SEARCH not in worked


def data(results: Results) -> Importance:
    """The largest shares, as parts of 1."""
    total = sum(results.importance.values())
    shares = [
        Share(name, value / total, len(results.groups.get(name.removeprefix("rank."), ())))
        for name, value in results.importance.items()
        if total > 0
    ]
    return Importance(tuple(sorted(shares, key=lambda s: (-s.share, s.name))[:MOST]))


def draw(data: Importance) -> go.Figure:
    """Bars, the largest on top."""
    if not data.shares:
        return empty("Too few trials are complete to say what mattered.")
    bars = go.Bar(
        orientation="h",
        x=[share.share for share in data.shares],
        y=[share.name for share in data.shares],
        marker={"color": BLUE},
        text=[f"{share.share:.0%}" for share in data.shares],
        textposition="outside",
        cliponaxis=False,
        customdata=[_sets(share) for share in data.shares],
        hovertemplate="%{y}<br>%{x:.1%}, %{customdata}<extra></extra>",
    )
    return figure(
        [bars],
        x={
            "title": "share",
            "tickformat": ".0%",
            "rangemode": "tozero",
            "range": [0, 1.15 * max(data.shares[0].share, 1e-9)],
        },
        y={
            "title": None,
            "autorange": "reversed",
            "showgrid": False,
            "ticklabelstandoff": 6,
        },
        height=90 + 26 * len(data.shares),
    )


def _sets(share: Share) -> str:
    return f"the rank of {share.targets} targets" if share.targets else "the training"
