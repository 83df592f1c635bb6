"""Every sampler runs a real study the way the race does: ask, then suggest each number."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from autolora import samplers
from autolora.errors import SamplerCannot, UnknownName
from autolora.registry import load, names, options
from autolora.study.race import suggest

NUMBERS: dict[str, BaseDistribution] = {
    "rank.a": IntDistribution(0, 3),
    "rank.b": IntDistribution(1, 2),
    "learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
}
MIXED = {**NUMBERS, "scale": CategoricalDistribution(["constant 1.0", "constant 2.0"])}
NAMES = names(samplers)
QUICK = {"startup_trials": 4, "population": 3}  # so that a dozen trials reach the method itself

optuna.logging.set_verbosity(optuna.logging.ERROR)


def made(name: str, domains: Mapping[str, BaseDistribution], seed: int = 0) -> Any:
    function = load(samplers, name).sampler
    known = options(function, {}, name)
    chosen = {key: value for key, value in QUICK.items() if key in known}
    return function(domains, seed=seed, constrained=True, **known | chosen)


def asks(
    name: str, domains: Mapping[str, BaseDistribution], *, seed: int = 0, trials: int = 12
) -> list[dict[str, Any]]:
    """What a sampler proposes for a bowl with a parameter budget."""
    sampler = made(name, domains, seed)
    study = optuna.create_study(sampler=sampler)
    asked = []
    for _ in range(trials):
        trial = study.ask()
        params = suggest(trial, domains)
        asked.append(params)
        told(study, trial, params)
    return asked


def told(study: optuna.Study, trial: optuna.Trial, params: Mapping[str, Any]) -> None:
    """As study/trials.py does: the constraint in Optuna's attribute, past `Study.tell`."""
    loss = (params["rank.a"] - 2) ** 2 + params["rank.b"] + params["learning_rate"]
    size = [params["rank.a"] + params["rank.b"] - 4]
    study._storage.set_trial_system_attr(trial._trial_id, "constraints", size)
    study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [loss])


@pytest.mark.parametrize("name", NAMES)
def test_proposals_lie_in_their_domains(name: str) -> None:
    domains = NUMBERS if name == "cmaes" else MIXED
    for params in asks(name, domains):
        assert params.keys() == domains.keys()
        assert all(domain._contains(_internal(domain, params[n])) for n, domain in domains.items())


def _internal(domain: BaseDistribution, value: Any) -> float:
    return domain.to_internal_repr(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides(name: str) -> None:
    first = asks(name, NUMBERS, seed=3)
    assert first == asks(name, NUMBERS, seed=3)
    assert first != asks(name, NUMBERS, seed=4)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("random", "grid", "nsga2")])
def test_results_are_learned_from(name: str) -> None:
    """Other results, other proposals: the sampler has left its random start."""
    domains = NUMBERS
    sampler = made(name, domains)
    study = optuna.create_study(sampler=sampler)
    for _ in range(10):
        trial = study.ask()
        params = suggest(trial, domains)
        told(study, trial, params)
    trial = study.ask()
    assert trial.relative_params.keys() == domains.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_type_and_a_default(name: str) -> None:
    parameters = inspect.signature(load(samplers, name).sampler).parameters
    assert list(parameters)[:3] == ["distributions", "seed", "constrained"]
    for option in list(parameters.values())[3:]:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.default is not inspect.Parameter.empty
        assert option.annotation is not inspect.Parameter.empty


def test_an_unknown_option() -> None:
    function = load(samplers, "tpe").sampler
    with pytest.raises(UnknownName, match='no option called "candidate"; there are candidates'):
        options(function, {"candidate": 3}, "option")


def test_the_grid_visits_each_point_once() -> None:
    asked = asks("grid", NUMBERS, trials=4 * 2 * 3)
    points = {tuple(params.values()) for params in asked}
    assert len(points) == 4 * 2 * 3
    rates = sorted({params["learning_rate"] for params in asked})
    assert rates == pytest.approx([1e-3 * 100 ** ((i + 0.5) / 3) for i in range(3)])


def test_a_grid_behind_baselines_visits_each_point_once() -> None:
    """Enqueued trials take the first numbers; the grid is still complete."""
    study = optuna.create_study(sampler=made("grid", NUMBERS))
    for rank in range(5):
        study.enqueue_trial({"rank.a": rank % 4, "rank.b": 1, "learning_rate": 0.01})
    asked = []
    for _ in range(5 + 24):
        trial = study.ask()
        asked.append(suggest(trial, NUMBERS))
        told(study, trial, asked[-1])
    assert len({tuple(params.values()) for params in asked[5:]}) == 24


def test_a_grid_too_large() -> None:
    wide = {f"rank.{i}": IntDistribution(0, 4) for i in range(5)}
    with pytest.raises(SamplerCannot, match="3,125 combinations, more than 1,000"):
        made("grid", wide)


def test_cmaes_refuses_a_choice() -> None:
    with pytest.raises(SamplerCannot, match=r'cmaes cannot .*"scale" is a choice among.*tpe'):
        made("cmaes", MIXED)


@pytest.mark.parametrize("name", NAMES)
def test_no_option_warns(name: str) -> None:
    """An option that Optuna deprecates or calls experimental would change under us."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(name, NUMBERS)
