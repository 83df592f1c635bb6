"""Our figures inside Optuna's dashboard, stored in the study under fixed names."""

import optuna
import plotly.graph_objects as go

from autolora.errors import MissingExtra
from autolora.plots.figures import Drawn, drawn
from autolora.study.results import Results


def publish(study: optuna.Study, results: Results) -> tuple[str, ...]:
    """Stores every figure in the study; gives their ids. A former version is replaced.

    The dashboard cuts a figure into rows of 2 kB, so figures are kept well under 100 kB.

    Raises:
        MissingExtra: if optuna-dashboard is not installed.
    """
    try:
        from optuna_dashboard import save_plotly_graph_object
    except ImportError as error:
        raise MissingExtra("the dashboard", "optuna-dashboard", "dashboard") from error
    return tuple(
        save_plotly_graph_object(study, panel(figure), graph_object_id=f"autolora-{figure.name}")
        for figure in drawn(results)
    )


def panel(drawn: Drawn) -> go.Figure:
    """A figure as the dashboard shows it: of its height, with its title, the legend below."""
    figure = go.Figure(drawn.figure)
    figure.layout.height = None
    figure.update_layout(
        title={"text": drawn.title, "x": 0.02, "y": 0.97, "yanchor": "top"},
        margin={"l": 48, "r": 24, "t": 56, "b": 48},
        legend={"y": -0.2, "yanchor": "top"},
    )
    return figure
