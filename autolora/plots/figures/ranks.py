"""The rank heat map: which targets the best trials adapt, and at which rank."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import plotly.graph_objects as go

from autolora.lora.targets import Target
from autolora.plots.look import KINDS, RANK_SCALE, empty, figure, label
from autolora.plots.measure import Measure, Scored, measure, ranking, within_budget
from autolora.study.results import Results

TITLE = "Where the best trials put their ranks"
CAPTION = (
    "A row is a trial, the best on top; a column is a target, from the input (left) to the output "
    "(right), its kind in the strip above; empty cells are not adapted."
)
PLACE = 12
ROWS = 12


@dataclass(frozen=True)
class Column:
    """One target; `stage` is the path of its block: `features.7`, `encoder.layers.0`."""

    target: str
    stage: str
    kind: str


@dataclass(frozen=True)
class RankRow:
    """One trial; ranks stand in the order of the columns."""

    label: str
    value: float
    parameters: int
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Ranks:
    """Columns in model order, grouped by stage; rows best first."""

    measure: Measure
    columns: tuple[Column, ...]
    rows: tuple[RankRow, ...]


def data(results: Results) -> Ranks:
    """The best distinct allocations, those within the budget first."""
    columns = _by_stage(results.targets)
    names = [column.target for column in columns]
    rows: dict[tuple[int, ...], Scored] = {}
    for scored in sorted(
        ranking(results), key=lambda s: not within_budget(results, s.trial.parameters)
    ):
        ranks = tuple(scored.trial.allocation.get(name, 0) for name in names)
        if any(ranks):
            rows.setdefault(ranks, scored)
    best = tuple(
        RankRow(label(scored), scored.value, scored.trial.parameters, ranks)
        for ranks, scored in list(rows.items())[:ROWS]
    )
    return Ranks(measure(results), columns, best)


def draw(data: Ranks) -> go.Figure:
    """The heat map, colour by the logarithm of the rank, under a strip of kinds."""
    if not data.rows or not data.columns:
        return empty("No trial with an adapter is complete yet.")
    height = max(330, 130 + 20 * len(data.rows))
    return figure(
        [_heat(data), *_strip(data)],
        x={"title": "depth in the model", "showgrid": False, **_stage_ticks(data.columns)},
        y={
            "title": None,
            "tickvals": list(range(len(data.rows))),
            "ticktext": [row.label for row in data.rows],
            "range": [len(data.rows) - 0.5, -0.5],
            "domain": [0, 1 - 26 / height],
            "ticklabelstandoff": 4,
            "showgrid": False,
        },
        height=height,
        yaxis2={"domain": [1 - 16 / height, 1], "visible": False, "range": [0, 1]},
        bargap=0,
        plot_bgcolor="rgba(138,147,163,0.16)",
        shapes=list(_separators(data)),
        showlegend=True,
        # Below this width columns could not be told apart; the page then lets the figure scroll.
        meta={"min_width": min(960, 140 + 9 * len(data.columns))},
    )


def _heat(data: Ranks) -> go.Heatmap:
    ranks = np.array([row.ranks for row in data.rows], dtype=np.int16)
    highest = int(ranks.max())
    shown = [2**power for power in range(int(math.log2(highest)) + 1)]
    return go.Heatmap(
        x=[column.target for column in data.columns],
        y=list(range(len(data.rows))),
        z=[[math.log2(rank) if rank else None for rank in row] for row in ranks.tolist()],
        customdata=ranks,
        xgap=1 if len(data.columns) <= 100 else 0,
        ygap=2,
        zmin=0,
        zmax=max(math.log2(highest), 1),
        colorscale=[[i / (len(RANK_SCALE) - 1), c] for i, c in enumerate(RANK_SCALE)],
        hovertemplate="%{x}<br>rank %{customdata}<extra></extra>",
        colorbar={
            "title": {"text": "rank", "side": "right"},
            "orientation": "v",
            "thickness": 10,
            "len": 1,
            "tickvals": [math.log2(rank) for rank in shown],
            "ticktext": [str(rank) for rank in shown],
            "outlinewidth": 0,
        },
    )


def _strip(data: Ranks) -> Iterator[go.Bar]:
    """One thin row above the map: the kind of each target, by colour."""
    kinds = list(dict.fromkeys(column.kind for column in data.columns))
    for index, kind in enumerate(kinds):
        names = [column.target for column in data.columns if column.kind == kind]
        yield go.Bar(
            x=names,
            y=[1] * len(names),
            width=0.9,
            yaxis="y2",
            name=kind,
            marker={"color": KINDS[index % len(KINDS)], "line": {"width": 0}},
            hovertemplate=f"%{{x}}<br>{kind}<extra></extra>",
        )


def _stage_ticks(columns: tuple[Column, ...]) -> dict[str, Any]:
    """One tick in the middle of each stage; every second or third where they are many."""
    stages = [(stage, list(group)) for stage, group in groupby(columns, key=lambda c: c.stage)]
    labels = stage_labels([stage for stage, _ in stages])
    every = math.ceil(len(stages) / 24)
    return {
        "type": "category",
        "tickvals": [group[len(group) // 2].target for _, group in stages[::every]],
        "ticktext": labels[::every],
        "tickangle": 0 if max(map(len, labels)) <= 3 else -90,
        "ticks": "",
        "range": [-0.5, len(columns) - 0.5],
    }


def stage_labels(stages: list[str]) -> list[str]:
    """Numbers alone where one parent holds nearly all stages; the few others then go unnamed.

    >>> stage_labels(["features.0", "features.1", "classifier.1"])
    ['0', '1', '']
    >>> stage_labels(["conv1", "layer1.0", "layer1.1", "layer2.0", "layer2.1"])
    ['conv1', 'layer1.0', 'layer1.1', 'layer2.0', 'layer2.1']
    """
    parents = Counter(stage.rpartition(".")[0] for stage in stages)
    parent, _ = parents.most_common(1)[0]
    if parent and all(n == 1 for name, n in parents.items() if name not in ("", parent)):
        inside = f"{parent}."
        return [s.removeprefix(inside) if s.startswith(inside) else "" for s in stages]
    return stages


def _separators(data: Ranks) -> Iterator[dict[str, Any]]:
    """A fine line between two stages."""
    edge = 0
    for _, group in groupby(data.columns, key=lambda column: column.stage):
        edge += len(list(group))
        if edge < len(data.columns):
            yield {
                "type": "line",
                "x0": edge - 0.5,
                "x1": edge - 0.5,
                "y0": -0.5,
                "y1": len(data.rows) - 0.5,
                "line": {"color": "rgba(128,136,150,0.45)", "width": 1},
            }


def _by_stage(targets: tuple[Target, ...]) -> tuple[Column, ...]:
    """Targets in model order with those of one stage side by side."""
    columns = [Column(target.name, stage(target), target.kind) for target in targets]
    order = {name: i for i, name in enumerate(dict.fromkeys(c.stage for c in columns))}
    return tuple(sorted(columns, key=lambda column: order[column.stage]))


def stage(target: Target) -> str:
    """The path of a target's layer up to its first number; the whole path without one.

    >>> stage(Target("features.7.conv.0.weight", "features.7.conv.0", "weight", None, "conv", 8, 8))
    'features.7'
    """
    number = re.match(r"(?:[^.]*\.)*?\d+(?=\.|$)", target.layer)
    return number[0] if number else target.layer
