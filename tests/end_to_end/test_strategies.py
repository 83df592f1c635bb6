"""Strategies that do their own work, as searches: stored, gone on with, compared."""

from pathlib import Path
from typing import Any

import pytest

import autolora
from autolora.artifacts.folder import read
from autolora.errors import UsageError
from autolora.plots.figures import pareto
from autolora.plots.verdict import verdict
from autolora.study.explain import explain
from autolora.study.session import Session
from autolora.study.study import Study
from autolora.study.working import terms_of
from tests.end_to_end.test_search import SPACE, TASK

SETTINGS: dict[str, Any] = {
    "training": {"steps": 16, "batch_size": 16, "evaluations": 2},
    "baselines": {"uniform_ranks": [1], "learning_rates": 1},
    "confirm": {"seeds": 2},
    "backend": {"name": "inline"},
    "budget": {"ft": 6.0, "uniform_rank": 1},
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return {**SETTINGS, "storage": f"sqlite:///{tmp_path}/study.db", "name": "nested"}


def test_nest_is_the_default_and_keeps_both_budgets(settings: dict[str, Any]) -> None:
    study = autolora.search(TASK, SPACE, **settings)

    assert study.spec.strategy["name"] == "nest"
    results = study.results()
    (found,) = [trial for trial in results.trials if trial.arm == "search"]
    limit = results.budget_parameters
    assert limit is not None
    assert 0 < found.parameters <= limit
    allowance = terms_of(Session(study.spec)).allowance
    for work in results.works:
        spent = sum(stage.example_passes for stage in work.ledger)
        assert 0 < spent <= allowance, work.ledger
    assert {(work.arm, work.seed) for work in results.works} == {("search", 0), ("search", 1)}
    names = {each["name"] for each in results.works[0].about["candidates"]}
    assert "uniform" in names, "uniform is always in the race"
    assert {(row.arm, row.seed) for row in results.losses} >= {("search", 1), ("uniform 1", 1)}
    assert "seeds, 40 examples" in verdict(results).sentence
    assert study.arm("search").adapter.allocation == autolora.Allocation(dict(found.allocation))


def test_what_is_done_is_not_done_again(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**settings, "confirm": {"seeds": 1}, "baselines": {}}
    storage = settings.pop("storage")
    description = {**settings, "task": TASK, "space": SPACE}
    from autolora.study.description import described

    study = Study.create(described(description), storage=storage)
    from autolora.training import fit

    whole, trained = fit.train, []

    def counted(*args: Any, **more: Any) -> Any:
        trained.append(args[0])
        if len(trained) == 2:
            raise KeyboardInterrupt  # in the last run, when the run at a high rank is stored
        return whole(*args, **more)

    monkeypatch.setattr("autolora.spending.work.train", counted)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    assert len(trained) == 2
    study.run()
    assert len(trained) == 3, "the run at a high rank is taken from the journal"
    undisturbed = Study.create(described({**description, "name": "other"}), storage=storage)
    undisturbed.run()
    assert study.best.adapter.digest == undisturbed.best.adapter.digest


def test_strategies_beside_the_search(settings: dict[str, Any]) -> None:
    beside = ["random", {"name": "nest", "arm": "nest, no warm start", "warm": False}]
    settings["baselines"] = {"strategies": beside}
    settings["budget"] = {"ft": 8.0, "uniform_rank": 1}
    study = autolora.search(TASK, SPACE, **settings)
    trials = {trial.arm: trial for trial in study.results().trials}
    assert set(trials) == {"search", "random", "nest, no warm start"}
    assert {trial.state for trial in trials.values()} == {"complete"}


def test_a_budget_too_small_says_what_it_needs(settings: dict[str, Any]) -> None:
    settings["budget"] = {"ft": 0.2, "uniform_rank": 1}
    with pytest.raises(UsageError, match=r"needs at least \d"):
        autolora.search(TASK, SPACE, **settings)


def test_trials_are_refused_where_none_are_counted(settings: dict[str, Any]) -> None:
    from autolora.study.description import described

    settings.pop("storage")
    spec = described({**settings, "task": TASK, "space": SPACE})
    with pytest.raises(UsageError, match=r"nest counts no trials; give budget\.ft"):
        spec.with_trials(5)


def test_a_front_can_be_looked_at_and_each_size_exported(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    how = {
        "strategy": {"name": "pareto", "fractions": [0.5]},
        "budget": {"ft": 8.0, "uniform_rank": 2},
        "confirm": {"seeds": 1},
        "baselines": {},
    }
    study = autolora.search(TASK, SPACE, **{**settings, **how})

    results, best = study.results(), study.arm("search")
    small, whole = explain(results, best.trial, best.adapter).front
    assert (whole.parameters, whole.loss) == (best.trial.parameters, best.trial.loss)
    assert small.parameters < whole.parameters
    shown = pareto.data(results)
    assert {point.parameters for point in shown.search} == {small.parameters, whole.parameters}

    study.export(tmp_path / "small", parameters=small.parameters)
    written = read(tmp_path / "small", Session(study.spec).model)
    assert written.digest == small.digest
    assert written.parameters == small.parameters
    with pytest.raises(UsageError, match=rf"at most 1 parameters; there are {small.parameters:,}"):
        study.export(tmp_path / "none", parameters=1)
    assert not (tmp_path / "none").exists()
