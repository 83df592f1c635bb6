"""A search in Python, from a description to an adapter on a fresh model."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

import autolora
from autolora.data.models import mobilenet_v2
from autolora.errors import UsageError
from autolora.study.session import Session
from autolora.training.evaluate import evaluate

TASK = {
    "type": "image",
    "model": "mobilenet_v2",
    "data": {"path": "digits", "splits": {"train": 60, "valid": 40, "test": 40, "seed": 0}},
    "image_size": 32,
}
SPACE = {
    "ranks": [0, 1, 2],
    "groups": [{"name": "late", "match": "re:features[.]1[5-7][.].*", "kinds": ["pointwise"]}],
    "training": {"learning_rate": {"low": 0.003, "high": 0.02}},
}
QUICK: dict[str, Any] = {
    "training": {"steps": 4, "batch_size": 16, "evaluations": 2},
    "baselines": {"uniform_ranks": [1], "learning_rates": 1},
    "confirm": {"seeds": 2},
    "backend": {"name": "inline"},
}


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return {**QUICK, "storage": f"sqlite:///{tmp_path}/study.db"}


def test_a_search_hands_back_an_adapter(quick: dict[str, Any]) -> None:
    budget = {"trials": 3, "uniform_rank": 1}
    study = autolora.search(TASK, SPACE, budget=budget, name="python", **quick)

    results = study.results()
    limit = results.budget_parameters
    assert limit is not None
    assert {"head only", "uniform 1", "search"} <= {trial.arm for trial in results.trials}
    assert all(t.parameters <= limit for t in results.trials if t.arm == "search")
    assert {f.arm for f in results.finals} >= {"head only", "uniform 1"}
    assert {f.seed for f in results.finals} == {0, 1}
    assert study.best.trial.number == results.best
    assert autolora.figure(study, "pareto").layout.title.text

    torch.manual_seed(3)
    fresh = mobilenet_v2()
    study.best.adapter.attach_to(fresh)
    best_test = study.best.metrics["loss"].value
    again = evaluate(fresh, Session(study.spec).task, "test")["loss"].value
    assert again == pytest.approx(best_test, abs=1e-6)

    opened = optuna.load_study(study_name="python", storage=quick["storage"])
    assert len(opened.trials) == len(results.trials)


def test_the_same_search_goes_on_and_trains_nothing_twice(quick: dict[str, Any]) -> None:
    first = autolora.search(TASK, SPACE, budget={"trials": 2}, name="again", **quick)
    before = first.store.spent()
    same = autolora.search(TASK, SPACE, budget={"trials": 2}, name="again", **quick)
    assert same.store.spent() == before
    more = autolora.search(TASK, SPACE, budget={"trials": 4}, name="again", **quick)
    trials = more.results().trials
    assert sum(trial.arm == "search" for trial in trials) == 4
    assert not [t for t in trials if t.state in ("running", "waiting")]


def test_an_equal_configuration_reuses_the_stored_result(quick: dict[str, Any]) -> None:
    """A grid of two ranks at one rate: the uniform arm trains one of them first."""
    space = {**SPACE, "ranks": [1, 2]}
    study = autolora.search(
        TASK,
        space,
        budget={"trials": 2},
        name="grid",
        sampler={"name": "grid", "points": 1},
        **quick,
    )
    trials = study.results().trials
    reused = [trial for trial in trials if trial.reused_from is not None]
    assert len(reused) == 1
    twin = trials[reused[0].reused_from or 0]
    assert (reused[0].loss, reused[0].allocation) == (twin.loss, twin.allocation)
    assert reused[0].example_passes == 0


def test_a_pareto_study_weighs_loss_against_parameters(quick: dict[str, Any]) -> None:
    study = autolora.search(
        TASK,
        SPACE,
        budget={"trials": 4},
        name="pareto",
        objective={"metric": "loss", "and_parameters": True},
        sampler={"name": "nsga2", "population": 4},
        **quick,
    )
    results = study.results()
    assert results.objective == ("loss", "parameters")
    opened = optuna.load_study(study_name="pareto", storage=quick["storage"])
    complete = [t for t in results.trials if t.state == "complete"]
    assert [t.values[1] for t in opened.trials if t.values] == [t.parameters for t in complete]
    assert len(opened.best_trials) >= 1


def test_a_metric_that_the_task_does_not_report_is_refused(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match='no metric called "acuracy"; there are loss, accuracy'):
        autolora.search(TASK, SPACE, budget={"trials": 1}, objective={"metric": "acuracy"}, **quick)
    assert not list(tmp_path.iterdir())
