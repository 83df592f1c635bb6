"""What a worker does: trials until the budget is spent, then the confirmation of its share.

Names and numbers are all that reaches a worker; it rebuilds task and space from the description.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import optuna

from autolora.errors import AutoloraError, Diverged, OutOfMemory, StorageUnavailable
from autolora.space.proposal import Proposal
from autolora.study import confirm as confirming
from autolora.study.description import described
from autolora.study.entries import Outcome, Plan
from autolora.study.race import INTERRUPTED, SEARCH, Race
from autolora.study.session import Session
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.watch import Watch
from autolora.training.curve import Ledger
from autolora.training.fit import Fit, Run, train
from autolora.training.shared import Shared

Listen = Callable[[Mapping[str, Any]], None]
_WAIT_SECONDS = 0.2  # between looks at another worker that trains the same configuration


def search(payload: Mapping[str, Any], listen: Listen) -> None:
    """Asks for trials and trains them until the budget is spent."""
    worker = Worker.of(payload, listen)
    study = worker.race.optuna_study()
    while True:
        worker.store.reclaim()
        asked = worker.race.ask(study)
        if asked is None:
            return
        worker.run(*asked)


def confirm(payload: Mapping[str, Any], listen: Listen) -> None:
    """Measures this worker's share of the finished arms on the test split."""
    worker = Worker.of(payload, listen)
    jobs = confirming.jobs(worker.session.spec, worker.store.results())
    for job in jobs[payload["worker"] :: payload["workers"]]:
        worker.say("step", what=f"confirm {job.arm}, seed {job.seed}", share=0.0)
        measured = confirming.measure(worker.session, worker.store, job, worker.shared)
        worker.say("confirmed", arm=job.arm, seed=job.seed, metrics=measured)


@dataclass(frozen=True)
class Worker:
    """A worker at its study."""

    session: Session
    store: Store
    listen: Listen
    number: int
    shared: Shared = field(default_factory=Shared)

    @classmethod
    def of(cls, payload: Mapping[str, Any], listen: Listen) -> "Worker":
        """A worker from what the parent sent."""
        spec = described(payload["description"])
        store = Store(open_storage(payload["url"], create=False), spec.name)
        session = Session(spec, payload["allow_code"])
        layers = frozenset(target.layer for target in session.space.targets)
        return cls(session, store, listen, payload["worker"], Shared(layers=layers))

    @cached_property
    def race(self) -> Race:
        """The race as this worker sees it."""
        return Race(self.session, self.store, self.number)

    def say(self, event: str, **data: Any) -> None:
        """Tells the parent."""
        self.listen({"event": event, "worker": self.number, **data})

    def run(self, trial: optuna.Trial, proposal: Proposal) -> None:
        """Trains a trial, or reuses the result of an equal one, and stores what came of it."""
        try:
            plan = self._plan(trial, proposal)
            other = self._claim(trial.number, plan)
            if other is not None:
                self.store.reuse(trial.number, other)
                self._told(trial.number, plan, reused_from=other)
                return
            outcome, fitted = self._train(trial, plan, proposal)
            self.store.finish(trial.number, outcome, fitted.adapter if fitted else None)
        except KeyboardInterrupt:
            self.store.release(trial.number, INTERRUPTED)
            raise
        self._told(trial.number, plan)

    def _plan(self, trial: optuna.Trial, proposal: Proposal) -> Plan:
        return Plan(
            digest=proposal.digest(self.session.context),
            allocation=proposal.allocation,
            configuration=proposal.configuration(),
            parameters=proposal.allocation.parameters(self.session.space.targets),
            arm=trial.user_attrs.get("arm", SEARCH),
        )

    def _claim(self, number: int, plan: Plan) -> int | None:
        """The trial whose result answers this one; None if this one is to be trained."""
        while (claim := self.store.claim(number, plan)).state == "running":
            self.say("step", what=f"trial {number} waits for its equal, {claim.trial}", share=0.0)
            time.sleep(_WAIT_SECONDS)
            self.store.reclaim()
        return claim.trial if claim.state == "finished" else None

    def _train(
        self, trial: optuna.Trial, plan: Plan, proposal: Proposal
    ) -> tuple[Outcome, Fit | None]:
        began = time.monotonic()
        try:
            fitted = self._fit(trial, plan, proposal)
        except StorageUnavailable:
            raise
        except (AutoloraError, RuntimeError, ValueError, ArithmeticError) as error:
            reason = "diverged" if isinstance(error, Diverged) else f"error: {error}"
            return Outcome("failed", Ledger(0, time.monotonic() - began, 0), reason=reason), None
        if fitted.stopped:
            return Outcome("pruned", fitted.ledger, (), fitted.loss, fitted.metrics), None
        values = self._objectives(fitted, plan)
        outcome = Outcome("complete", fitted.ledger, values, fitted.loss, fitted.metrics)
        return outcome, fitted

    def _fit(self, trial: optuna.Trial, plan: Plan, proposal: Proposal) -> Fit:
        """Trains; where memory does not suffice, again with batches in smaller parts.

        What was found out about the memory is kept in the study, for all its workers.
        """
        spec = self.session.spec
        run = Run(self.session.task, proposal, spec.training, spec.seed)
        lost: list[Ledger] = []
        while True:
            watch = Watch(trial, plan, self.store, self.session, self.say)
            self.shared.parts = self.store.parts()
            try:
                fitted = train(run, self.shared, watch)
            except OutOfMemory as error:
                if error.parts >= spec.training.batch_size:
                    raise
                lost.append(error.ledger)
            else:
                return replace(fitted, ledger=sum(lost, fitted.ledger))
            self.store.divide(2 * self.shared.parts)
            self.say("memory", trial=trial.number, parts=2 * self.shared.parts)

    def _objectives(self, fitted: Fit, plan: Plan) -> tuple[float, ...]:
        objective = self.session.spec.objective
        metric = fitted.metrics[objective.metric]
        return (metric, float(plan.parameters)) if objective.and_parameters else (metric,)

    def _told(self, number: int, plan: Plan, reused_from: int | None = None) -> None:
        row = next(t for t in self.store.trials() if t.number == number)
        self.say(
            "trial",
            number=number,
            arm=plan.arm,
            state=row.state,
            parameters=plan.parameters,
            metrics=dict(row.metrics),
            reason=row.reason,
            seconds=row.seconds,
            reused_from=reused_from,
        )
