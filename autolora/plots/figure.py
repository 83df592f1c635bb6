"""One figure of a study, as a notebook shows it."""

import plotly.graph_objects as go

from autolora.plots.figures import load
from autolora.study.study import Study


def figure(study: Study, name: str) -> go.Figure:
    """A figure by its name, which is that of a file in `autolora/plots/figures`: pareto, ranks.

    A notebook shows it when it is the last line of a cell; elsewhere call its `show()`.

    Raises:
        UnknownName: if there is no figure of that name.
    """
    plot = load(name)
    drawn = plot.draw(plot.data(study.results()))
    return drawn.update_layout(title=plot.TITLE)
