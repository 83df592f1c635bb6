"""Commands that show what a study found: trials, leaderboard, best."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from autolora.cli.app import Json, Storage, StudyName, command
from autolora.cli.output import show, table, text


@command("autolora trials digits")
def trials(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """List every trial: its arm, state, size, loss and cost."""
    from autolora.study.study import Study

    results = Study.open(study, storage).results()
    rows = [_full(t) if as_json else _line(t) for t in results.trials]
    show(rows, as_json=as_json)


@command("autolora leaderboard digits")
def leaderboard(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Compare the arms: the search, the head alone, and uniform ranks."""
    from autolora.plots.verdict import table, verdict
    from autolora.study.study import Study

    results = Study.open(study, storage).results()
    rows = [asdict(row) for row in table(results)]
    if as_json:
        show({"rows": rows, "verdict": asdict(verdict(results))}, as_json=True)
        return
    from autolora.plots.verdict import lines

    show(lines(results), as_json=False)
    print(verdict(results).sentence)


@command("autolora best digits")
def best(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Show the best adapter: its trial, ranks, metrics and how to export it."""
    from autolora.study.study import Study

    found = Study.open(study, storage).best
    if as_json:
        show(_best(found.trial, found.metrics), as_json=True)
        return
    show(_facts(study, found.trial, found.metrics), as_json=False)
    print()
    table([{"target": name, "rank": rank} for name, rank in found.trial.allocation.items()])


def _line(trial: Any) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "arm": trial.arm,
        "state": trial.state,
        "parameters": trial.parameters,
        "valid loss": trial.loss,
        **{name: value for name, value in trial.metrics.items() if name != "loss"},
        "learning rate": trial.configuration.get("learning_rate"),
        "seconds": round(trial.seconds, 1),
        "note": _note(trial),
    }


def _note(trial: Any) -> str | None:
    if trial.reused_from is not None:
        return f"same as trial {trial.reused_from}, not trained again"
    strategy = trial.configuration.get("strategy")
    return trial.reason or (f"all work of {strategy['name']}" if strategy else None)


def _full(trial: Any) -> dict[str, Any]:
    return {**asdict(trial), "allocation": dict(trial.allocation)}


def _best(trial: Any, metrics: Any) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "arm": trial.arm,
        "parameters": trial.parameters,
        "valid loss": trial.loss,
        "configuration": dict(trial.configuration),
        "test": {name: asdict(m) for name, m in metrics.items()},
        "allocation": dict(trial.allocation),
    }


def _facts(study: str, trial: Any, metrics: Any) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "arm": trial.arm,
        "parameters": trial.parameters,
        "valid loss": trial.loss,
        **{
            f"test {n}": f"{text(m.value)} ({text(m.low)} to {text(m.high)})"
            for n, m in metrics.items()
        },
        **{name.replace("_", " "): _told(value) for name, value in trial.configuration.items()},
        "export": f"autolora export {study} --to FOLDER",
    }


def _told(value: Any) -> Any:
    """A strategy by its name and what was decided for it; any other number as it is."""
    if not isinstance(value, Mapping):
        return value
    told = (
        f"{key} {text(each)}" for key, each in value.items() if key != "name" and each is not None
    )
    return f"{value.get('name')}: {', '.join(told)}".rstrip(": ")
