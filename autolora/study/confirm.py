"""Confirmation: what the arms are worth on data that nothing has seen.

The best trial of every arm, chosen on the validation split, is measured once on the test split:
the adapter that was kept, and the same configuration trained again from further seeds, which all
arms share. A strategy that does its own work does all of it again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from autolora.artifacts.adapter import Adapter
from autolora.space.proposal import Proposal
from autolora.study.description import StudySpec
from autolora.study.results import FinalRow, Results, TrialRow
from autolora.study.session import Session
from autolora.study.store import Store
from autolora.study.working import Assigned, do, work_of
from autolora.training.answers import Answers
from autolora.training.evaluate import Passing, answered
from autolora.training.evaluate import measured as bounded
from autolora.training.fit import Run, train
from autolora.training.shared import Shared


@dataclass(frozen=True)
class Job:
    """One arm at one seed."""

    arm: str
    trial: TrialRow
    seed: int


def jobs(spec: StudySpec, results: Results) -> tuple[Job, ...]:
    """What is still to be measured."""
    seeds = range(spec.seed, spec.seed + spec.confirm.seeds)
    best = results.best_of_arms().items()
    return unmeasured(
        [Job(arm, trial, seed) for seed in seeds for arm, trial in best], results.finals
    )


def unmeasured(jobs: Iterable[Job], finals: Iterable[FinalRow]) -> tuple[Job, ...]:
    """The jobs without a measurement: one of another trial of the arm is none."""
    done = {(final.arm, final.seed, final.trial) for final in finals}
    return tuple(job for job in jobs if (job.arm, job.seed, job.trial.number) not in done)


def measure(session: Session, store: Store, job: Job, shared: Shared) -> dict[str, float]:
    """Measures an arm at a seed on the test split and stores it."""
    shared.parts = store.parts()
    answers = _answers(session, _adapter(session, store, job, shared), shared.parts)
    store.losses(job.arm, job.seed, answers)
    measured = {name: bounded(metric, answers) for name, metric in session.task.metrics.items()}
    rows = [
        FinalRow(
            arm=job.arm,
            trial=job.trial.number,
            seed=job.seed,
            parameters=job.trial.parameters,
            metric=metric,
            value=m.value,
            low=m.low,
            high=m.high,
        )
        for metric, m in measured.items()
    ]
    store.final(*rows)
    return {metric: m.value for metric, m in measured.items()}


def _adapter(session: Session, store: Store, job: Job, shared: Shared) -> Adapter:
    """The adapter kept from the trial, or for another seed one that is trained as it was."""
    kept = store.adapter(job.trial.number) if job.seed == session.spec.seed else None
    if kept is not None:
        return Adapter.from_bytes(kept)
    strategy = job.trial.configuration.get("strategy")
    if strategy is not None:
        work = work_of(session, store, job.seed, shared, _silent)
        found = do(Assigned(strategy), work, store)
        store.found(job.arm, job.seed, found)
        return found.adapter
    proposal = Proposal.of(job.trial.allocation, job.trial.configuration)
    return train(Run(session.task, proposal, session.spec.training, job.seed), shared).adapter


def _answers(session: Session, adapter: Adapter, parts: int) -> Answers:
    model = session.task.model()
    adapter.attach_to(model)
    return answered(model, session.task, "test", final=True, passing=Passing(parts=parts))


def _silent(what: str, share: float) -> None:
    del what, share
