"""One look for all figures: colours that hold on light and dark, axes, ticks, empty states.

Figures carry no background, text or grid colour: the page and the dashboard bring their own.
"""

import math
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

from autolora.plots.measure import HEAD_ONLY, SEARCH, Scored, is_uniform

BLUE, ORANGE, GREEN, RED, GREY = "#3f83d6", "#e08a2e", "#17a077", "#d9534f", "#8a93a3"
PURPLE = "#9a7bd0"
KINDS = ("#8f7ee7", "#4fb3bf", "#d98cb3", "#a8a13c", "#c98a5e", "#6f9bd1", "#7fb36b", "#b0a3a3")
# Rank 1 to the highest: bright to dark, but never as dark as a dark page (viridis, clipped).
RANK_SCALE = ("#f2e34c", "#9bd64f", "#45b97c", "#24908c", "#3a6ea5", "#5b4bb0")


def colour(arm: str) -> str:
    """The colour of an arm: the search, the head alone, uniform ranks, other strategies."""
    return ORANGE if is_uniform(arm) else {SEARCH: BLUE, HEAD_ONLY: GREY}.get(arm, PURPLE)


def figure(traces: Iterable[Any], *, x: Any, y: Any, height: int = 380, **layout: Any) -> go.Figure:
    """A figure in the house look; `x` and `y` are axis settings, or just a title."""
    traces = list(traces)
    return go.Figure(
        traces,
        layout={
            "template": "none",
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
            "xaxis": _axis(x),
            "yaxis": _axis(y),
            "legend": {
                "orientation": "h",
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
                "xanchor": "left",
                "traceorder": "normal",
            },
            "showlegend": sum(trace.showlegend is not False for trace in traces) > 1,
            "hovermode": "closest",
            "barmode": "stack",
            "bargap": 0.35,
            **layout,
        },
    )


def empty(message: str) -> go.Figure:
    """A figure that says why there is nothing to see."""
    hidden = {"visible": False, "title": None}
    note = {
        "text": message,
        "x": 0.5,
        "y": 0.5,
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "font": {"size": 14},
    }
    return figure((), x=hidden, y=hidden, height=160, annotations=[note])


def logarithmic(values: Iterable[float], title: str, spread: float = 4.0) -> dict[str, Any]:
    """An axis for `values`: logarithmic, with plain tick labels, where they spread widely.

    `spread` is the ratio of largest to smallest from which a linear axis would hide the small.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known or min(known) <= 0 or max(known) / min(known) < spread:
        return {"title": title}
    ticks = log_ticks(min(known), max(known))
    margin = 0.06 * math.log10(max(known) / min(known))
    return {
        "title": title,
        "type": "log",
        "tickvals": ticks,
        "ticktext": [number(tick) for tick in ticks],
        "range": [math.log10(min(known)) - margin, math.log10(max(known)) + margin],
    }


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between two bounds, the denser the closer the bounds.

    >>> log_ticks(0.09, 2.4)
    [0.1, 0.2, 0.5, 1.0, 2.0]
    >>> log_ticks(0.1, 0.6)
    [0.1, 0.15, 0.2, 0.3, 0.4, 0.6]
    """
    decades = math.log10(high / low)
    steps = next(steps for reach, steps in _TICK_STEPS if decades < reach)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


_TICK_STEPS = ((1.0, (1, 1.5, 2, 3, 4, 6)), (3.0, (1, 2, 5)), (math.inf, (1,)))


def number(value: float) -> str:
    """A number as people read it on an axis or in a sentence.

    >>> number(0.05), number(20000.0), number(1234567), number(0.123456)
    ('0.05', '20k', '1.23M', '0.1235')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            unit_size = 1e3 if unit == "k" else size
            return f"{value / unit_size:.3g}{unit}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(4.2), duration(75), duration(7500)
    ('4.2 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def label(scored: Scored) -> str:
    """How a trial is called in figures: "#17 search"."""
    return f"#{scored.trial.number} {scored.trial.arm}"


def _axis(settings: Any) -> dict[str, Any]:
    given = settings if isinstance(settings, dict) else {"title": settings}
    if isinstance(given.get("title"), str):
        given = given | {"title": {"text": given["title"], "standoff": 10}}
    return {"automargin": True, "zeroline": False, "fixedrange": False} | given
