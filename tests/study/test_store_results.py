import optuna
import pytest
import torch
from made import DISTRIBUTIONS, adapter, model, outcome, plan, ran, record

from autolora.lora.targets import targets
from autolora.study.results import FinalRow
from autolora.study.store import Store
from autolora.training.answers import Answers
from autolora.training.curve import Ledger


def test_results_hold_what_was_stored(store: Store, study: optuna.Study) -> None:
    study.enqueue_trial({"rank.all": 4}, user_attrs={"arm": "uniform 4"})
    baseline = store.ask(study, DISTRIBUTIONS).number
    store.claim(baseline, plan("u", arm="uniform 4", rank=3))
    store.finish(baseline, outcome(0.1), adapter(3))
    ran(store, study, 0.5, plan("a"))
    over = ran(store, study, 0.2, plan("b", rank=3))
    best = ran(store, study, 0.3, plan("c", rank=2))
    study.enqueue_trial({"rank.all": 1}, user_attrs={"arm": "uniform 1"})

    found = store.results()
    assert found.targets == targets(model())
    assert found.groups == {"all": ("0.weight",)}
    assert (found.objective, found.directions) == (("loss",), ("minimize",))
    assert (found.budget_parameters, found.head_parameters) == (14, 5)
    assert [row.arm for row in found.trials] == ["uniform 4"] + ["search"] * 3 + ["uniform 1"]
    assert [row.state for row in found.trials] == ["complete"] * 4 + ["waiting"]
    assert found.trials[over].parameters == 21
    assert found.best == best
    assert store.trials() == found.trials
    row = found.trials[best]
    assert (row.allocation, row.parameters) == ({"0.weight": 2}, 14)
    assert (row.metrics, row.peak_bytes) == ({"accuracy": 0.7}, 1 << 20)
    assert row.started is not None
    assert found.trials[-1].started is None
    assert store.spent() == Ledger(400, 8.0, 1 << 20)


def test_a_uniform_allocation_that_wins_is_the_best(store: Store, study: optuna.Study) -> None:
    ran(store, study, 0.3, plan("a", rank=2))
    study.enqueue_trial({"rank.all": 1}, user_attrs={"arm": "uniform 1"})
    uniform = ran(store, study, 0.2, plan("u", arm="uniform 1"))
    assert store.results().best == uniform


def test_without_a_complete_trial_there_is_no_best(store: Store) -> None:
    assert store.results().best is None


def test_importance_needs_enough_trials_and_follows_what_matters(
    store: Store, study: optuna.Study
) -> None:
    study.enqueue_trial({}, user_attrs={"arm": "head only"})
    baseline = store.ask(study, {}).number
    store.claim(baseline, plan("h", arm="head only"))
    store.finish(baseline, outcome(9.0))
    for count in range(20):
        if count == 3:
            assert store.results().importance == {}
        trial = store.ask(study, DISTRIBUTIONS)
        store.claim(trial.number, plan(str(count)))
        store.finish(trial.number, outcome(float(trial.params["rank.all"])))
    importance = store.results().importance
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["rank.all"] > importance["learning_rate"]


def test_two_objectives_have_no_importance_and_rank_by_the_first(store: Store) -> None:
    pareto = Store(store.storage, "pareto")
    pareto.create(record(objective=("loss", "parameters"), directions=("minimize", "minimize")))
    study = pareto.optuna_study(optuna.samplers.RandomSampler(seed=0))
    for loss in (0.5, 0.2, 0.4, 0.3):
        number = pareto.ask(study, DISTRIBUTIONS).number
        pareto.claim(number, plan(str(loss)))
        pareto.finish(number, outcome(loss, objectives=(loss, 7.0)), adapter(1))
    assert pareto.results().importance == {}
    assert pareto.results().best == 1
    assert [t.values for t in study.best_trials] == [[0.2, 7.0]]


def measured(trial: int, value: float) -> FinalRow:
    return FinalRow("search", trial, 0, 14, "loss", value, value, value)


def test_a_trial_that_is_the_best_no_more_lends_its_measurement_to_none(
    store: Store, study: optuna.Study
) -> None:
    """A study that goes on finds better trials: each is worth what it was measured at itself."""
    answers = Answers(torch.zeros(2), torch.ones(2))
    old = ran(store, study, 0.5, plan("a"))
    store.losses("search", 0, answers)
    assert store.final(measured(old, 0.6))
    assert [final.trial for final in store.results().finals] == [old]
    assert len(store.results().losses) == 1

    new = ran(store, study, 0.3, plan("b"))
    assert store.results().finals == ()
    assert store.results().losses == ()
    assert store.final(measured(new, 0.4))
    assert not store.final(measured(new, 0.9)), "it was measured before"
    assert [(final.trial, final.value) for final in store.finals()] == [(new, 0.4)]
