"""The ledger: what the study cost, arm by arm."""

from collections.abc import Iterable
from dataclasses import dataclass

import plotly.graph_objects as go

from autolora.plots.look import BLUE, GREY, RED, duration, empty, figure, number
from autolora.study.explain import fine_tune
from autolora.study.results import Results, TrialRow

TITLE = "What it cost"
CAPTION = (
    "Compute by arm in whole training runs (fine-tunes of the study's length), split by how the "
    "trials ended."
)
PLACE = 60
STATES = (("complete", BLUE), ("pruned", GREY), ("failed", RED))


@dataclass(frozen=True)
class Entry:
    """The trials of one arm that ended in one state.

    Units: an example pass is one forward or one backward pass of one example.
    """

    arm: str
    state: str
    trials: int
    example_passes: int
    seconds: float


@dataclass(frozen=True)
class Ledger:
    """Entries by arm and state, and the totals.

    `run_passes` is the cost of one whole training run, the unit of `runs`; none before it is
    known. `reused` counts trials answered by a stored result, which cost nothing.
    """

    entries: tuple[Entry, ...]
    trials: int
    reused: int
    example_passes: int
    seconds: float
    peak_bytes: int
    run_passes: int | None

    @property
    def runs(self) -> float | None:
        """The whole cost in training runs."""
        return self.example_passes / self.run_passes if self.run_passes else None


def data(results: Results) -> Ledger:
    """Sums over the trials that ended."""
    trials = [t for t in results.trials if t.state in dict(STATES)]
    arms = dict.fromkeys(t.arm for t in trials)
    groups = {
        (arm, state): [t for t in trials if (t.arm, t.state) == (arm, state)]
        for arm in arms
        for state, _ in STATES
    }
    return Ledger(
        entries=tuple(_entry(*key, group) for key, group in groups.items() if group),
        trials=len(trials),
        reused=sum(t.reused_from is not None for t in trials),
        example_passes=sum(t.example_passes for t in trials),
        seconds=sum(t.seconds for t in trials),
        peak_bytes=max((t.peak_bytes for t in trials), default=0),
        run_passes=fine_tune(results),
    )


def draw(data: Ledger) -> go.Figure:
    """One bar an arm, its parts the states."""
    if not data.entries or not data.example_passes:
        return empty("Nothing has been spent yet.")
    unit = data.run_passes or 1
    traces = [
        _bars(state, colour, [e for e in data.entries if e.state == state], unit)
        for state, colour in STATES
        if any(e.state == state for e in data.entries)
    ]
    arms = dict.fromkeys(entry.arm for entry in data.entries)
    return figure(
        traces,
        x={"title": "whole training runs" if data.run_passes else "example passes"},
        y={
            "title": None,
            "ticklabelstandoff": 6,
            "showgrid": False,
            "categoryorder": "array",
            "categoryarray": list(reversed(arms)),
        },
        height=120 + 34 * len(arms),
    )


def _bars(state: str, colour: str, entries: Iterable[Entry], unit: int) -> go.Bar:
    entries = tuple(entries)
    return go.Bar(
        orientation="h",
        x=[entry.example_passes / unit for entry in entries],
        y=[entry.arm for entry in entries],
        name={"pruned": "stopped early"}.get(state, state),
        marker={"color": colour, "opacity": 0.55 if state == "pruned" else 1},
        text=[
            f"{entry.trials} trials, {number(entry.example_passes)} example passes, "
            f"{duration(entry.seconds)}"
            for entry in entries
        ],
        textposition="none",
        hovertemplate="%{y}: %{x:.2f}<br>%{text}<extra></extra>",
    )


def _entry(arm: str, state: str, trials: list[TrialRow]) -> Entry:
    return Entry(
        arm=arm,
        state=state,
        trials=len(trials),
        example_passes=sum(t.example_passes for t in trials),
        seconds=sum(t.seconds for t in trials),
    )
