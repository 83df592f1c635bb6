"""A baseline that the space cannot express has no numbers; samplers must not trip over it."""

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from autolora import samplers
from autolora.registry import load
from autolora.study.race import Sampled, suggest

DOMAINS: dict[str, BaseDistribution] = {
    "rank.a": IntDistribution(1, 4),
    "learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
}


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "nsga2", "random", "grid"])
def test_a_finished_baseline_without_numbers_is_not_learned_from(name: str) -> None:
    sampler = load(samplers, name).sampler(DOMAINS, seed=0, constrained=False)
    stored = optuna.create_study()
    study = Sampled(stored.study_name, stored._storage, sampler)
    study.enqueue_trial({})
    head_only = study.ask()
    study._storage.set_trial_state_values(head_only._trial_id, TrialState.COMPLETE, [0.5])
    for i in range(13):
        trial = study.ask()
        suggest(trial, DOMAINS)
        study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [i / 7])
    trial = study.ask()
    if name in ("tpe", "gp", "cmaes", "nsga2"):
        frozen = study.get_trials()[-1]
        together = sampler.infer_relative_search_space(study, frozen)
        assert together.keys() == DOMAINS.keys(), "all numbers are drawn together"
    assert suggest(trial, DOMAINS).keys() == DOMAINS.keys()
