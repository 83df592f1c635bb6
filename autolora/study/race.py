"""The race: what opens it, who runs next, and when it is over."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from autolora import pruners, samplers, strategies
from autolora.registry import load
from autolora.space.proposal import Proposal
from autolora.strategies import Arm, Baselines
from autolora.study.reclaim import DIED
from autolora.study.results import TrialRow
from autolora.study.session import Session
from autolora.study.store import Store

SEARCH = "search"
INTERRUPTED = "interrupted"
_NOT_COUNTED = (DIED, INTERRUPTED)


@dataclass(frozen=True)
class Race:
    """The trials of a study as one process sees them."""

    session: Session
    store: Store
    worker: int = 0

    def open(self) -> None:
        """Enqueues the arms that are not yet in the study, so that a crash between loses none."""
        spec, space = self.session.spec, self.session.space
        strategy: strategies.Strategy = load(strategies, spec.strategy)
        rates = spec.baselines.learning_rates
        baselines = Baselines(tuple(spec.baselines.uniform_ranks), rates)
        study = self.store.optuna_study()
        with self.store.storage.errors():
            told = study.get_trials(deepcopy=False)
            known = {(t.user_attrs.get("arm"), t.user_attrs.get("learning_rate")) for t in told}
            for arm in strategy.opening(space, baselines, self.session.budget_parameters):
                if (arm.name, arm.learning_rate) not in known:
                    params = space.encode(arm.allocation, arm.learning_rate) or {}
                    study.enqueue_trial(params, user_attrs=_attributes(arm))

    def ask(self, study: optuna.Study) -> tuple[optuna.Trial, Proposal] | None:
        """The next trial and what it is to train; None when the race is over."""
        with self.store.storage.errors(), self.store.storage.turn():
            if self.is_over(study):
                return None
            trial = self.store.ask(study, {})
        try:
            return trial, self.proposal(trial)
        except BaseException:
            self.store.release(trial.number, INTERRUPTED)
            raise

    def is_over(self, study: optuna.Study) -> bool:
        """Whether nothing waits and the budget is spent; baselines run whatever it is."""
        told = study.get_trials(deepcopy=False)
        if any(trial.state == TrialState.WAITING for trial in told):
            return False
        return self.spent(self.store.trials())

    def spent(self, trials: Iterable[TrialRow]) -> bool:
        """Whether the sampler may propose no more: trials, seconds or example-passes are used."""
        budget = self.session.spec.budget
        cost = self.store.spent()
        limits = (
            (budget.trials, sum(map(counts, trials))),
            (budget.seconds, cost.seconds),
            (budget.example_passes, cost.example_passes),
        )
        return any(limit is not None and used >= limit for limit, used in limits)

    def proposal(self, trial: optuna.Trial) -> Proposal:
        """What a trial means: an arm of the opening, or what the sampler suggests."""
        space = self.session.space
        rate = trial.user_attrs.get("learning_rate")
        if rate is None:
            params = suggest(trial, space.distributions)
            return space.proposal(params, self.session.budget_parameters)
        rank = trial.user_attrs["uniform_rank"]
        allocation = space.uniform(rank)
        known = space.encode(allocation, rate) or {}
        suggest(trial, {name: space.distributions[name] for name in known})
        return space.fixed(allocation, rate)

    def optuna_study(self) -> optuna.Study:
        """The study with its sampler, seeded for this worker, and its pruner."""
        stored = self.store.optuna_study()
        with self.store.storage.errors():
            pruner = self._pruner(self.session.spec.pruner)
            sampler = sampler_of(self.session, self.worker)
            return Sampled(stored.study_name, self.store.storage.optuna, sampler, pruner)

    def _pruner(self, options: Mapping[str, Any]) -> optuna.pruners.BasePruner:
        rest = dict(options)
        evaluations = self.session.spec.training.evaluations
        made: optuna.pruners.BasePruner = load(pruners, rest.pop("name")).pruner(
            evaluations=evaluations, **rest
        )
        return made


def sampler_of(session: Session, worker: int = 0) -> optuna.samplers.BaseSampler:
    """The sampler of a study, seeded for a worker.

    Raises:
        SamplerCannot: if it cannot search the space.
    """
    options = dict(session.spec.sampler)
    sampler: optuna.samplers.BaseSampler = load(samplers, options.pop("name")).sampler(
        session.space.distributions,
        seed=session.spec.seed * 1000 + worker,
        constrained=session.budget_parameters is not None,
        **options,
    )
    return sampler


class Sampled(optuna.Study):
    """A study as its sampler sees it: without the baselines that its space cannot express.

    They have no numbers, and Optuna draws only those numbers together that every trial has: a
    single such trial would turn each sampler into independent draws.
    """

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in found if trial.params or not trial.state.is_finished()]


def _attributes(arm: Arm) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "uniform_rank": arm.uniform_rank,
        "learning_rate": arm.learning_rate,
    }


def counts(trial: TrialRow) -> bool:
    """Whether a trial uses up the budget of trials: the sampler's own that were not taken away."""
    taken_away = trial.state == "failed" and (trial.reason or "").startswith(_NOT_COUNTED)
    return trial.arm == SEARCH and trial.state != "waiting" and not taken_away


def suggest(trial: optuna.Trial, distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """A value for each distribution, from the queue or the sampler."""
    return {name: _suggest(trial, name, domain) for name, domain in distributions.items()}


def _suggest(trial: optuna.Trial, name: str, domain: BaseDistribution) -> Any:
    if isinstance(domain, IntDistribution):
        return trial.suggest_int(name, domain.low, domain.high)
    if isinstance(domain, FloatDistribution):
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    assert isinstance(domain, CategoricalDistribution)
    return trial.suggest_categorical(name, domain.choices)
