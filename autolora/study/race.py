"""The race: what opens it, who runs next, and when it is over."""

import itertools
import logging
from collections.abc import Collection, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from autolora import pruners, samplers, strategies
from autolora.errors import StorageUnavailable, TakenAway
from autolora.registry import load
from autolora.space.proposal import Proposal
from autolora.spending.opening import Arm, Baselines, opening
from autolora.study import draws
from autolora.study.asking import Asked
from autolora.study.description import StudySpec
from autolora.study.making import enqueue
from autolora.study.optunas import parameters_together
from autolora.study.reasons import GIVEN_UP, INTERRUPTED, TAKEN_AWAY
from autolora.study.results import TrialRow
from autolora.study.retry import once, patiently
from autolora.study.session import Session
from autolora.study.store import Store
from autolora.study.wish import begun
from autolora.study.working import Assigned
from autolora.training.cost import fine_tune

SEARCH = "search"
_log = logging.getLogger(__name__)
_NOT_COUNTED = tuple(TAKEN_AWAY)


@dataclass(frozen=True)
class Race:
    """The trials of a study as one process sees them."""

    session: Session
    store: Store
    worker: int = 0

    def open(self) -> None:
        """Enqueues the arms that are not yet in the study, so that a crash between loses none.

        Strategies that do their own work come first: they take longest.
        """
        patiently(self.store.storage, self._open)

    def _open(self) -> None:
        storage = self.store.storage
        with storage.turn():
            study = self.store.optuna_study()
            told = study.get_trials(deepcopy=False)
            known = {(t.user_attrs.get("arm"), t.user_attrs.get("learning_rate")) for t in told}
            for name, strategy in works_of(self.session.spec).items():
                if (name, None) not in known:
                    enqueue(storage, study, {}, {"arm": name, "strategy": strategy})
            for arm in arms_of(self.session):
                if (arm.name, arm.learning_rate) not in known:
                    params = self.session.space.encode(arm.allocation, arm.learning_rate) or {}
                    enqueue(storage, study, params, _attributes(arm))

    def ask(self, study: optuna.Study) -> tuple[optuna.Trial, Proposal | Assigned] | None:
        """The next trial and what it is to do; None when the race is over.

        Raises:
            Held: if the study is paused or stopped.
        """
        while True:
            trial = patiently(self.store.storage, partial(self._next, study, Asked()))
            if trial is None:
                return None
            try:
                return trial, self.meant(trial)
            except UpdateFinishedTrialError:
                _log.warning("%s", TakenAway(trial.number))
            except BaseException:
                with once(), suppress(StorageUnavailable):
                    self.store.release(trial.number, INTERRUPTED)
                raise

    def _next(self, study: optuna.Study, asked: Asked) -> optuna.Trial | None:
        """A trial that is this process's; None when the race is over."""
        with self.store.storage.turn():
            if asked.bound is None:
                told = _told(study)
                if self._over(told):
                    return None
                begun(self.store)
                draws.seed(study.sampler, self.session.spec.seed, draws.place(told))
            return self.store.ask(study, {}, asked)

    def meant(self, trial: optuna.Trial) -> Proposal | Assigned:
        """What a trial is to do."""
        strategy = trial.user_attrs.get("strategy")
        if strategy:
            return Assigned(strategy)
        tries = itertools.count()

        def mean() -> Proposal:
            # A number may be stored although the answer got lost: it stands, and is read again.
            again = next(tries) > 0
            return self.proposal(Trial(trial.study, trial._trial_id) if again else trial)  # noqa: SLF001

        return patiently(self.store.storage, mean)

    def is_over(self, study: optuna.Study) -> bool:
        """Whether nothing waits and the budget is spent; baselines run whatever it is."""
        return self._over(_told(study))

    def _over(self, told: Sequence[FrozenTrial]) -> bool:
        if any(trial.state == TrialState.WAITING for trial in told):
            return False
        return self.spent(self.store.trials())

    def spent(self, trials: Collection[TrialRow]) -> bool:
        """Whether the sampler may propose no more: trials, FT, seconds or passes are used.

        FT are those of the sampler's own trials; the baselines beside it are not counted there.
        """
        spec = self.session.spec
        if not samples(spec):
            return True
        budget, cost = spec.budget, self.store.spent()
        limits = (
            (budget.trials, sum(map(counts, trials))),
            (budget.seconds, cost.seconds),
            (budget.example_passes, cost.example_passes),
        )
        if any(limit is not None and used >= limit for limit, used in limits):
            return True
        return budget.ft is not None and not self._affordable(budget.ft, trials)

    def _affordable(self, fine_tunes: float, trials: Collection[TrialRow]) -> bool:
        """Whether one more trial ends within so many FT, if those that run go to their ends."""
        one = fine_tune(self.session.task, self.session.spec.training)
        own = [trial for trial in trials if trial.arm == SEARCH]
        running = sum(trial.state == "running" for trial in own)
        spent = sum(trial.example_passes for trial in own)
        return spent + (running + 1) * one <= fine_tunes * one

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


def _told(study: optuna.Study) -> list[FrozenTrial]:
    """All trials, those too that its sampler does not see."""
    found: list[FrozenTrial] = study._storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001
    return found


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


def samples(spec: StudySpec) -> bool:
    """Whether a sampler proposes trials when the opening has run."""
    return bool(getattr(load(strategies, spec.strategy["name"]), "SAMPLES", False))


def works_of(spec: StudySpec) -> dict[str, Mapping[str, Any]]:
    """The strategies of a study that do their own work, by the name of their arm."""
    found: dict[str, Mapping[str, Any]] = {SEARCH: spec.strategy} if spec.works else {}
    for each in spec.baselines.strategies:
        found[str(each.get("arm") or each["name"])] = each
    return found


def arms_of(session: Session) -> tuple[Arm, ...]:
    """The arms of single runs that open the race of a study.

    Beside a strategy that does its own work there are none but those that are asked for: its
    budget is a promise.
    """
    given = session.spec.baselines
    baselines = Baselines(tuple(given.uniform_ranks), given.learning_rates)
    strategy = load(strategies, session.spec.strategy["name"])
    if strategies.works(strategy):
        return opening(session.space, baselines, None) if baselines.uniform_ranks else ()
    found: tuple[Arm, ...] = strategy.arms(session.space, baselines, session.budget_parameters)
    return found


def _attributes(arm: Arm) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "uniform_rank": arm.uniform_rank,
        "learning_rate": arm.learning_rate,
    }


def counts(trial: TrialRow) -> bool:
    """Whether a trial uses up the budget of trials: the sampler's own that were not taken away.

    One that was given up counts: nobody tries it again.
    """
    reason = trial.reason or ""
    again = reason.startswith(_NOT_COUNTED) and GIVEN_UP not in reason
    taken_away = trial.state == "failed" and again
    return trial.arm == SEARCH and trial.state != "waiting" and not taken_away


def suggest(trial: optuna.Trial, distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """A value for each distribution, from the queue or the sampler."""
    with parameters_together(trial):
        return {name: _suggest(trial, name, domain) for name, domain in distributions.items()}


def _suggest(trial: optuna.Trial, name: str, domain: BaseDistribution) -> Any:
    if isinstance(domain, IntDistribution):
        return trial.suggest_int(name, domain.low, domain.high)
    if isinstance(domain, FloatDistribution):
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    assert isinstance(domain, CategoricalDistribution)
    return trial.suggest_categorical(name, domain.choices)
