"""What each stage of a strategy that does its own work cost."""

from dataclasses import dataclass

import plotly.graph_objects as go

from autolora.plots.look import GREY, KINDS, duration, empty, figure, number
from autolora.plots.measure import SEARCH
from autolora.study.explain import fine_tune
from autolora.study.results import Results, WorkRow

TITLE = "Where the compute went"
CAPTION = (
    "A bar is all the work of a strategy at a seed, its parts the stages in their order; one FT is "
    "a fine-tune of the study's length, and the mark is what the strategy was allowed."
)
PLACE = 13


@dataclass(frozen=True)
class Cost:
    """One stage at one seed; stages of one name are joined."""

    arm: str
    seed: int
    stage: str
    example_passes: int
    seconds: float


@dataclass(frozen=True)
class Stages:
    """Costs by arm and seed in the order of the work.

    `fine_tune` is the unit in example-passes, `allowed` what each arm might spend of them.
    """

    costs: tuple[Cost, ...]
    fine_tune: int | None
    allowed: dict[str, int]


def applies(results: Results) -> bool:
    """Whether a strategy did work of its own."""
    return bool(results.works)


def data(results: Results) -> Stages:
    """The ledger of every work, the search's first."""
    works = sorted(results.works, key=lambda work: work.arm != SEARCH)
    costs = tuple(cost for work in works for cost in _costs(work))
    allowed = {w.arm: w.about["allowance"] for w in results.works if w.about.get("allowance")}
    return Stages(costs, fine_tune(results), allowed)


def draw(data: Stages) -> go.Figure:
    """One bar an arm and seed, one colour a stage."""
    if not data.costs:
        return empty("No strategy has done its work yet.")
    unit = data.fine_tune or 1
    stages = list(dict.fromkeys(cost.stage for cost in data.costs))
    bars = list(dict.fromkeys(_bar(cost) for cost in data.costs))
    traces = [_part(data, stage, KINDS[i % len(KINDS)], unit) for i, stage in enumerate(stages)]
    return figure(
        [*traces, *_marks(data, unit)],
        x={
            "title": "FT (fine-tunes)" if data.fine_tune else "example passes",
            "rangemode": "tozero",
        },
        y={
            "title": None,
            "ticklabelstandoff": 6,
            "showgrid": False,
            "categoryorder": "array",
            "categoryarray": bars[::-1],
        },
        height=190 + 34 * len(bars),
    )


def _part(data: Stages, stage: str, colour: str, unit: int) -> go.Bar:
    mine = [cost for cost in data.costs if cost.stage == stage]
    return go.Bar(
        orientation="h",
        x=[cost.example_passes / unit for cost in mine],
        y=[_bar(cost) for cost in mine],
        name=stage,
        marker={"color": colour},
        text=[f"{number(c.example_passes)} example passes, {duration(c.seconds)}" for c in mine],
        textposition="none",
        hovertemplate=f"%{{y}}: {stage} %{{x:.2f}}<br>%{{text}}<extra></extra>",
    )


def _marks(data: Stages, unit: int) -> list[go.Scatter]:
    bars = dict.fromkeys((_bar(cost), cost.arm) for cost in data.costs if cost.arm in data.allowed)
    if not bars:
        return []
    return [
        go.Scatter(
            x=[data.allowed[arm] / unit for _, arm in bars],
            y=[bar for bar, _ in bars],
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 20, "color": GREY, "line": {"width": 2}},
            name="allowed",
            hovertemplate="%{y}: allowed %{x:.2f}<extra></extra>",
        )
    ]


def _bar(cost: Cost) -> str:
    return f"{cost.arm}, seed {cost.seed}"


def _costs(work: WorkRow) -> list[Cost]:
    found = []
    for name in dict.fromkeys(stage.name for stage in work.ledger):
        mine = [stage for stage in work.ledger if stage.name == name]
        passes, seconds = sum(s.example_passes for s in mine), sum(s.seconds for s in mine)
        found.append(Cost(work.arm, work.seed, name, passes, seconds))
    return found
