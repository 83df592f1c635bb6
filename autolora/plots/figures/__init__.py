"""Figures by name: one file each, picked up from this folder.

A file offers `TITLE`, a `CAPTION` of one sentence that tells how to read it, its `PLACE` in the
reading order, `data(results)` (pure: the numbers, tested) and `draw(data)` (the figure). One whose
question does not arise in every study offers `applies(results)` beside them.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import plotly.graph_objects as go

from autolora import registry
from autolora.study.results import Results

_FOLDER = sys.modules[__name__]


class Plot(Protocol):
    """What a file of this folder offers."""

    TITLE: str
    CAPTION: str
    PLACE: int

    def data(self, results: Results) -> Any:
        """The numbers to draw, as a frozen dataclass."""

    def draw(self, data: Any) -> go.Figure:
        """The figure of those numbers; of none at all, too."""


@dataclass(frozen=True)
class Drawn:
    """One figure with its words."""

    name: str
    title: str
    caption: str
    figure: go.Figure


def plots() -> dict[str, Plot]:
    """Every plot by name, in reading order."""
    found = {name: load(name) for name in registry.names(_FOLDER)}
    return dict(sorted(found.items(), key=lambda item: (item[1].PLACE, item[0])))


def load(name: str) -> Plot:
    """The plot of that name.

    Raises:
        UnknownName: if no file of this folder has it.
    """
    return cast("Plot", registry.load(_FOLDER, name))


def drawn(results: Results) -> Iterator[Drawn]:
    """Every figure whose question arises in a study, in reading order."""
    for name, plot in plots().items():
        if not getattr(plot, "applies", _always)(results):
            continue
        yield Drawn(name, plot.TITLE, plot.CAPTION, plot.draw(plot.data(results)))


def _always(results: Results) -> bool:
    del results
    return True
