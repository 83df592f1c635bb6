"""The report: one self-contained page, without a network, for people."""

import json
from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.io import to_json

from autolora.artifacts.files import write_text
from autolora.plots.figures import Drawn, drawn, load
from autolora.plots.look import colour, duration, number
from autolora.plots.measure import measure
from autolora.plots.searched import searched
from autolora.plots.verdict import lines, table, verdict
from autolora.plots.winner import Winner, winner
from autolora.study.results import Results

_FIRST = ("pareto", "ranks")  # beside each other, right below the verdict


def write(results: Results, path: Path) -> Path:
    """Writes the page as a whole or not at all; gives the path back.

    Raises:
        StorageUnavailable: if the disk is full or the folder cannot be written.
    """
    write_text(path, report(results))
    return path


def report(results: Results) -> str:
    """The page: verdict, front and rank map; then table, figures, winner, costs, what was asked.

    Every word from the study is escaped; figures are data, drawn by the library inside the page.
    """
    page = _environment().from_string(_part("page.html"))
    return page.render(**_content(results))


def _content(results: Results) -> dict[str, Any]:
    rows = table(results)
    return {
        "name": results.name,
        "verdict": verdict(results),
        "rows": list(zip(rows, lines(results), strict=True)),
        "facts": facts(results),
        "figures": [(figure, _payload(figure)) for figure in drawn(results)],
        "first": _FIRST,
        "searched": searched(results),
        "winner": winner(results),
        "ledger": load("ledger").data(results),
        "failures": failures(results),
        "description": yaml.safe_dump(plain(results.description), sort_keys=False),
        "versions": results.versions,
        "head_parameters": results.head_parameters,
        "style": Markup(_part("style.css")),
        "script": Markup(_part("page.js")),
        "plotly": Markup(_part("plotly-cartesian.min.js")),
    }


def facts(results: Results) -> list[tuple[str, str]]:
    """The few numbers to see first."""
    states = Counter(str(trial.state) for trial in results.trials)
    spent = load("ledger").data(results)
    best = winner(results)
    value = measure(results).of(best.trial) if best else None
    return [
        ("adapter handed back", f"#{best.trial.number} {best.trial.arm}" if best else "–"),
        (f"its validation {measure(results).name}", "–" if value is None else f"{value:.4f}"),
        ("adapter parameters", _size(results, best)),
        ("targets adapted", f"{best.adapted} of {best.targets}" if best else "–"),
        ("trials", _states(states)),
        ("compute", f"{spent.runs:.1f} training runs" if spent.runs else "–"),
        ("time in trials", duration(spent.seconds)),
        ("peak memory", f"{spent.peak_bytes / 1e6:,.0f} MB" if spent.peak_bytes else "–"),
    ]


def failures(results: Results) -> list[tuple[str, int]]:
    """Why trials failed, and how many for each reason; the commonest first."""
    reasons = Counter(
        trial.reason or "no reason was recorded"
        for trial in results.trials
        if trial.state == "failed"
    )
    return reasons.most_common()


def plain(value: Any) -> Any:
    """What YAML can write, of whatever a description holds."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def cell(value: Any) -> str:
    """A value in a table.

    >>> cell(18620), cell(0.00123456), cell(None), cell("a")
    ('18,620', '0.00123', '–', 'a')
    """
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.01 <= abs(value) < 1e4 else f"{value:.3g}"
    return str(value)


def _size(results: Results, best: Winner | None) -> str:
    budget = results.budget_parameters
    if best is None:
        return "–" if budget is None else f"{budget:,} allowed"
    size = f"{best.trial.parameters:,}"
    return size if budget is None else f"{size} of {budget:,} allowed"


def _states(states: Counter[str]) -> str:
    words = {"complete": "complete", "pruned": "stopped early", "failed": "failed"}
    counted = [f"{states[state]} {word}" for state, word in words.items() if states[state]]
    open_ones = states["running"] + states["waiting"]
    return ", ".join(counted + ([f"{open_ones} open"] if open_ones else [])) or "none yet"


def _payload(figure: Drawn) -> Markup:
    """The figure as JSON that cannot end the script element it stands in."""
    content = json.loads(to_json(figure.figure, validate=False))
    del content["layout"]["template"]  # the page brings its own, light or dark
    text = json.dumps(content, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"cell": cell, "number": number, "duration": duration}
    environment.filters["colour"] = colour
    return environment


@cache
def _part(name: str) -> str:
    return (resources.files("autolora.plots") / "page" / name).read_text(encoding="utf-8")
