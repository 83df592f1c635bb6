"""What a worker does: trials until the budget is spent, then the confirmation of its share.

Names and numbers are all that reaches a worker; it rebuilds task and space from the description.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
import torch

from autolora.artifacts.adapter import Adapter
from autolora.errors import OutOfMemory, StorageUnavailable, TakenAway
from autolora.space.proposal import Proposal
from autolora.spending import Found
from autolora.study import confirm as confirming
from autolora.study import material
from autolora.study.description import described
from autolora.study.entries import Outcome, Plan
from autolora.study.failing import or_failed
from autolora.study.lease import this_worker
from autolora.study.preempted import Preempted, preemptible
from autolora.study.progress import sentence
from autolora.study.race import SEARCH, Race
from autolora.study.reasons import INTERRUPTED, PREEMPTED
from autolora.study.renewing import leave, renewing
from autolora.study.retry import again, once
from autolora.study.session import Session
from autolora.study.sharing import next_job
from autolora.study.spool import Result, spooled
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.triallog import logged
from autolora.study.watch import Watch
from autolora.study.wish import Held, goes_on
from autolora.study.working import Assigned, account_of, do, work_of
from autolora.training.curve import Ledger
from autolora.training.fit import Fit, Run, train
from autolora.training.meter import peak_bytes
from autolora.training.shared import Shared

Listen = Callable[[Mapping[str, Any]], None]
_log = logging.getLogger(__name__)
_WAIT_SECONDS = 0.2  # between looks at another worker that trains the same configuration


def search(payload: Mapping[str, Any], listen: Listen) -> None:
    """Asks for trials and trains them until the budget is spent, or the study is stopped.

    A payload with `most` is one for so many trials and no more; one with `joins` is that of a
    worker from elsewhere, whose data may be others.
    """
    worker = Worker.of(payload, listen)
    (material.check if payload.get("joins") else material.note)(worker.session, worker.store)
    with worker.renewing(), preemptible():
        worker.search(payload.get("most"))


def confirm(payload: Mapping[str, Any], listen: Listen) -> None:
    """Measures finished arms on the test split, those that no other worker is at."""
    worker = Worker.of(payload, listen)
    jobs = confirming.jobs(worker.session.spec, worker.store.results())
    while worker.goes_on():
        with next_job(worker.store, jobs) as job:
            if job is None:
                return
            worker.measure(job)


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Worker:
    """A worker at its study.

    `stopped` says at each evaluation whether somebody else gave up the trial, as a scheduler may.
    """

    session: Session
    store: Store
    listen: Listen
    number: int
    shared: Shared = field(default_factory=Shared)
    folder: Path | None = None
    stopped: Callable[[], bool] = _never

    @classmethod
    def of(cls, payload: Mapping[str, Any], listen: Listen) -> "Worker":
        """A worker from what the parent sent."""
        spec = described(payload["description"])
        storage = again(partial(open_storage, payload["url"], create=False))
        store = Store(storage, spec.name, spec.backend.tenure)
        session = Session(spec, payload["allow_code"])
        layers = frozenset(target.layer for target in session.space.targets)
        number = payload.get("number", payload["worker"])
        folder = Path(payload["folder"]) if payload.get("folder") else None
        return cls(session, store, listen, number, Shared(layers=layers), folder)

    @cached_property
    def race(self) -> Race:
        """The race as this worker sees it."""
        return Race(self.session, self.store, self.number)

    def say(self, event: str, **data: Any) -> None:
        """Tells the parent, and the log."""
        told = {"event": event, "worker": self.number, **data}
        if line := sentence(told) or told.get("what"):
            _log.info("%s", line)
        self.listen(told)

    def search(self, most: int | None = None) -> None:
        """Does trials, so many at most, until the budget is spent or the study is stopped."""
        study = self.race.optuna_study()
        ran = 0
        while most is None or ran < most:
            self.store.reclaim()
            try:
                asked = self.race.ask(study)
            except Held:
                if not self.goes_on():
                    return
                continue
            if asked is None:
                return
            self.run(*asked)
            ran += 1

    def renewing(self) -> AbstractContextManager[None]:
        """Inside, this worker's trials stay its own."""
        return renewing(self.store.storage, self.store.name, self.store.tenure)

    def goes_on(self) -> bool:
        """Waits while the study is paused; False if it is stopped."""
        return goes_on(self.store, lambda text: self.say("waits", text=text))

    def measure(self, job: confirming.Job) -> None:
        """Measures a finished arm on the test split."""
        self.say("step", what=f"confirm {job.arm}, seed {job.seed}", share=0.0)
        measured = confirming.measure(self.session, self.store, job, self.shared)
        self.say("confirmed", arm=job.arm, seed=job.seed, metrics=measured)

    def run(self, trial: optuna.Trial, job: Proposal | Assigned) -> None:
        """Does a trial, or reuses the result of an equal one, and stores what came of it."""
        with logged(self.folder, trial.number), self.renewing():
            _log.info("trial %d at %s", trial.number, this_worker())
            try:
                self._run(trial, job)
            except BaseException:
                leave(self.store.storage, self.store.name, trial.number)
                raise

    def _run(self, trial: optuna.Trial, job: Proposal | Assigned) -> None:
        plan = self._plan(trial, job)
        try:
            other = self._claim(trial.number, plan)
            if other is None:
                plan = self._do(trial, plan, job)
            else:
                self._reuse(trial.number, other)
        except KeyboardInterrupt as interrupt:
            reason = PREEMPTED if isinstance(interrupt, Preempted) else INTERRUPTED
            with once(), suppress(StorageUnavailable):  # a lease that is not given back runs out
                self.store.release(trial.number, reason)
            raise
        except TakenAway as error:
            _log.warning("%s", error)
            return
        self._told(trial.number, plan, reused_from=other)

    def _reuse(self, number: int, other: int) -> None:
        if not self.store.reuse(number, other):
            raise TakenAway(number)

    def _do(self, trial: optuna.Trial, plan: Plan, job: Proposal | Assigned) -> Plan:
        """Does a trial and stores what came of it; gives its plan, as it is known then.

        Raises:
            TakenAway: if it is not this worker's any more.
        """
        stopped = self.stopped if plan.arm == SEARCH else _never
        watch = Watch(trial, plan, self.store, self.session, self.say, stopped)
        if isinstance(job, Assigned):
            outcome, adapter = self._work(trial.number, plan, job)
        else:
            outcome, adapter = self._train(watch, job)
        number, points = trial.number, watch.points()
        where = self.store.storage.where
        with spooled(Result(where, self.store.name, number, plan, outcome, points), adapter):
            kept = self.store.finish(number, outcome, adapter, points)
        if not kept:
            raise TakenAway(number)
        return outcome.plan or plan

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

    def _train(self, watch: Watch, proposal: Proposal) -> tuple[Outcome, Adapter | None]:
        """Trains an allocation, from its start or from where an earlier attempt was left."""

        def train_it() -> tuple[Outcome, Adapter | None]:
            fitted = self._fit(watch, proposal)
            if fitted.stopped:
                return Outcome("pruned", fitted.ledger, (), fitted.loss, fitted.metrics), None
            values = self._objectives(fitted.metrics, watch.plan)
            outcome = Outcome("complete", fitted.ledger, values, fitted.loss, fitted.metrics)
            return outcome, fitted.adapter

        return or_failed(train_it)

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

        return or_failed(do_it)

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

    def _fit(self, watch: Watch, proposal: Proposal) -> Fit:
        """Trains; where memory does not suffice, again with batches in smaller parts.

        What was found out about the memory is kept in the study, for all its workers.
        """
        spec, number = self.session.spec, watch.trial.number
        run = Run(self.session.task, proposal, spec.training, spec.seed)
        start = self.store.stands(number, watch.plan.digest) if watch.resumes else None
        keep = watch.keep if self.store.tenure.checkpoint_bytes else None
        lost: list[Ledger] = []
        while True:
            watch.start(start)
            self.shared.parts = self.store.parts()
            try:
                fitted = train(run, self.shared, watch, start, keep)
            except OutOfMemory as error:
                if error.parts >= spec.training.batch_size:
                    raise
                lost.append(error.ledger)
            else:
                return replace(fitted, ledger=sum(lost, fitted.ledger))
            self.store.divide(2 * self.shared.parts)
            self.say("memory", trial=number, parts=2 * self.shared.parts)

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
            numbers={**row.metrics, "parameters": plan.parameters},
        )
