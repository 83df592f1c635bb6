"""The allocations that a strategy compared before it trained one of them to the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from autolora.plots.look import BLUE, GREEN, GREY, ORANGE, empty, figure
from autolora.plots.measure import SEARCH
from autolora.study.explain import tried
from autolora.study.results import Results, WorkRow

TITLE = "The race of allocations"
CAPTION = (
    "Circles are allocations cut from the run at a high rank, not trained since (grey ones dropped "
    "out on fewer examples); diamonds are losses after a stretch of training, and the green one "
    "went on to the end."
)
PLACE = 14
MOST = 16


@dataclass(frozen=True)
class Candidate:
    """One allocation: its truncated loss, over how many examples, and that after its stretches.

    Stretches are by what they were trained at; `chosen` is the one that went on to the end.
    """

    name: str
    loss: float | None
    examples: int
    stretches: Mapping[str, float]
    chosen: str | None
    dropped: bool


@dataclass(frozen=True)
class Race:
    """Candidates of one work from the best; `left_out` counts those beyond what can be read."""

    arm: str
    seed: int
    candidates: tuple[Candidate, ...]
    left_out: int


def applies(results: Results) -> bool:
    """Whether a strategy compared allocations."""
    return _work(results) is not None


def data(results: Results) -> Race:
    """The race of the search, at the study's own seed."""
    work = _work(results)
    if work is None:
        return Race(SEARCH, 0, (), 0)
    rows = tried(results, work)
    most = max((row.examples for row in rows), default=0)
    rows = tuple(sorted(rows, key=lambda row: not row.stretches))  # kept in any case
    shown = tuple(
        Candidate(row.name, row.loss, row.examples, row.stretches, row.chosen, row.examples < most)
        for row in rows[:MOST]
    )
    return Race(work.arm, work.seed, shown, len(rows) - len(shown))


def draw(data: Race) -> go.Figure:
    """A row an allocation, the better one on top."""
    if not any(_values(each) for each in data.candidates):
        return empty("No allocations have been compared yet.")
    ended = [(each, key) for each in data.candidates for key in each.stretches]
    chosen = [(each, key) for each, key in ended if each.chosen == key]
    others = [(each, key) for each, key in ended if each.chosen != key]
    names = [each.name for each in data.candidates]
    return figure(
        [
            *_race("dropped out", [each for each in data.candidates if each.dropped]),
            *_race("without training", [each for each in data.candidates if not each.dropped]),
            *_after("after a stretch", others, ORANGE),
            *_after("trained to the end", chosen, GREEN),
        ],
        x="validation loss of a sample",
        y={
            "title": None,
            "ticklabelstandoff": 6,
            "categoryorder": "array",
            "categoryarray": names[::-1],
            "range": [-0.6, len(names) - 0.4],
        },
        height=max(250, 130 + 24 * len(names)),
    )


def _race(name: str, rows: list[Candidate]) -> list[go.Scatter]:
    rows = [row for row in rows if row.loss is not None]
    faint = name == "dropped out"
    look = {"size": 9, "color": GREY if faint else BLUE, "opacity": 0.6 if faint else 1}
    text = [f"{row.examples} examples" for row in rows]
    return [_dots(name, rows, [row.loss for row in rows], look, text)] if rows else []


def _after(name: str, rows: list[tuple[Candidate, str]], colour: str) -> list[go.Scatter]:
    look = {"size": 11, "color": colour, "symbol": "diamond"}
    text = [f"{key}, of other examples".removeprefix(", ") for _, key in rows]
    values = [row.stretches[key] for row, key in rows]
    return [_dots(name, [row for row, _ in rows], values, look, text)] if rows else []


def _dots(
    name: str, rows: list[Candidate], values: Sequence[float | None], look: object, text: list[str]
) -> go.Scatter:
    return go.Scatter(
        x=values,
        y=[row.name for row in rows],
        mode="markers",
        marker=look,
        name=name,
        text=text,
        hovertemplate=f"%{{y}}: %{{x:.4f}}<br>%{{text}}<extra>{name}</extra>",
    )


def _values(each: Candidate) -> bool:
    return each.loss is not None or bool(each.stretches)


def _work(results: Results) -> WorkRow | None:
    """The search's work, or the first that compared allocations."""
    compared = [work for work in results.works if work.about.get("candidates")]
    compared.sort(key=lambda work: work.arm != SEARCH)
    return next(iter(compared), None)
