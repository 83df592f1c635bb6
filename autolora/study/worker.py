"""What a worker does: trials until the budget is spent, then the confirmation of its share.

Names and numbers are all that reaches a worker; it rebuilds task and space from the description.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import optuna
import torch

from autolora.artifacts.adapter import Adapter
from autolora.errors import AutoloraError, Diverged, OutOfMemory, StorageUnavailable
from autolora.space.proposal import Proposal
from autolora.spending import Found
from autolora.study import confirm as confirming
from autolora.study.description import described
from autolora.study.entries import Outcome, Plan
from autolora.study.race import INTERRUPTED, SEARCH, Race
from autolora.study.session import Session
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.watch import Watch
from autolora.study.working import Assigned, account_of, do, work_of
from autolora.training.curve import Ledger
from autolora.training.fit import Fit, Run, train
from autolora.training.meter import peak_bytes
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

    def run(self, trial: optuna.Trial, job: Proposal | Assigned) -> None:
        """Does a trial, or reuses the result of an equal one, and stores what came of it."""
        try:
            plan = self._plan(trial, job)
            other = self._claim(trial.number, plan)
            if other is not None:
                self.store.reuse(trial.number, other)
                self._told(trial.number, plan, reused_from=other)
                return
            if isinstance(job, Assigned):
                outcome, adapter = self._work(trial.number, plan, job)
            else:
                outcome, adapter = self._train(trial, plan, job)
            self.store.finish(trial.number, outcome, adapter)
        except KeyboardInterrupt:
            self.store.release(trial.number, INTERRUPTED)
            raise
        self._told(trial.number, outcome.plan or plan)

    def _plan(self, trial: optuna.Trial, proposal: Proposal | Assigned) -> Plan:
        if isinstance(proposal, Assigned):
            about = {"strategy": dict(proposal.strategy)}
            return Plan(proposal.digest(self.session), {}, about, 0, trial.user_attrs["arm"])
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
    ) -> tuple[Outcome, Adapter | None]:
        """Trains an allocation from its start."""

        def train_it() -> tuple[Outcome, Adapter | None]:
            fitted = self._fit(trial, plan, proposal)
            if fitted.stopped:
                return Outcome("pruned", fitted.ledger, (), fitted.loss, fitted.metrics), None
            values = self._objectives(fitted.metrics, plan)
            outcome = Outcome("complete", fitted.ledger, values, fitted.loss, fitted.metrics)
            return outcome, fitted.adapter

        return _or_failed(train_it)

    def _work(self, number: int, plan: Plan, job: Assigned) -> tuple[Outcome, Adapter | None]:
        """Lets a strategy do its own work."""
        seed = self.session.spec.seed

        def say(what: str, share: float) -> None:
            self.say("step", what=f"{job.name}: {what}", share=share)

        def do_it() -> tuple[Outcome, Adapter | None]:
            began = time.monotonic()
            self.say("said", text=account_of(job, self.session))
            work = work_of(self.session, self.store, seed, self.shared, say)
            found = do(job, work, self.store)
            self.store.found(plan.arm, seed, found)
            self.store.curve(number, found.curve)
            made = self._made(plan, found)
            seconds = time.monotonic() - began
            ledger = Ledger(found.example_passes, seconds, peak_bytes(torch.device("cpu")))
            values = self._objectives(found.metrics, made)
            metrics = found.metrics
            outcome = Outcome("complete", ledger, values, found.loss, metrics, plan=made)
            return outcome, found.adapter

        return _or_failed(do_it)

    def _made(self, plan: Plan, found: Found) -> Plan:
        """The plan with the allocation that came of it."""
        allocation = found.adapter.allocation
        proposal = self.session.space.fixed(allocation, found.learning_rate)
        return replace(
            plan,
            allocation=allocation,
            configuration={**proposal.configuration(), **plan.configuration},
            parameters=allocation.parameters(self.session.space.targets),
        )

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

    def _objectives(self, metrics: Mapping[str, float], plan: Plan) -> tuple[float, ...]:
        objective = self.session.spec.objective
        metric = metrics[objective.metric]
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


def _or_failed(
    attempt: Callable[[], tuple[Outcome, Adapter | None]],
) -> tuple[Outcome, Adapter | None]:
    """What an attempt gives; a failure as an outcome, so that other trials go on."""
    began = time.monotonic()
    try:
        return attempt()
    except StorageUnavailable:
        raise
    except (AutoloraError, RuntimeError, ValueError, ArithmeticError) as error:
        reason = "diverged" if isinstance(error, Diverged) else f"error: {error}"
        return Outcome("failed", Ledger(0, time.monotonic() - began, 0), reason=reason), None
