"""How a study stands at one moment: a function of its database and the clock."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autolora.study.lease import alive
from autolora.study.pace import Limit, Pace, best_trial, is_over, limits, measurements, pace, spent
from autolora.study.results import TrialRow
from autolora.study.seen import AttemptRow, Seen, seen
from autolora.study.sharing import holds
from autolora.study.store import Store

STATES = ("running", "paused", "stopped", "finished")
TRIALS = ("waiting", "running", "complete", "pruned", "failed")
FAILURES = ("preempted", "out of memory", "diverged", "bug", "died", "expired", "interrupted")
OTHER = "other"  # of databases that did not note why
_DONE = ("finished", "pruned")
State = Literal["running", "paused", "stopped", "finished"]
_WISHED: Mapping[str, State] = {"run": "running", "pause": "paused", "stop": "stopped"}


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker does.

    Attributes:
        trial: The trial it trains; None while it measures.
        doing: Its arm, or what it measures.
        share: How much of the curve is done, 0 to 1; None where no curve is written.
        lease_seconds: For how long its claim still holds, below 0 if it ran out.
        seen_seconds: How long ago it gave a sign of life.
        live: Whether it still works, as far as can be told from here.
    """

    host: str
    pid: int
    name: str | None
    trial: int | None
    doing: str
    share: float | None
    lease_seconds: float | None
    seen_seconds: float | None
    live: bool


@dataclass(frozen=True)
class BestSoFar:
    """The best trial within the budget; `value` is the metric of the objective."""

    trial: int
    arm: str
    metric: str
    value: float
    parameters: int


@dataclass(frozen=True)
class Status:
    """A study at the moment `at`, in seconds since 1970.

    Attributes:
        trials: How many trials are in each state, of the search and of the baselines beside it.
        failures: Attempts that failed, by why.
        retries: Trials that are another attempt at one that was left behind.
        stale_leases: Attempts whose worker is gone or silent, and that nobody took over yet.
        measured: Arms measured at a seed on the test split, and how many are left.
        last_result: When a trial ended last.
    """

    study: str
    at: float
    state: State
    trials: Mapping[str, Mapping[str, int]]
    workers: tuple[WorkerStatus, ...]
    failures: Mapping[str, int]
    retries: int
    stale_leases: int
    budget: tuple[Limit, ...]
    pace: Pace
    example_passes: int
    seconds: float
    best: BestSoFar | None
    measured: tuple[int, int]
    last_result: float | None


def status(store: Store, now: float) -> Status:
    """How a study stands; `now` is in seconds since 1970, by the clock of its database."""
    return status_of(seen(store), now)


def status_of(found: Seen, now: float) -> Status:
    """How what was read stands."""
    workers = (*_training(found, now), *_measuring(found, now))
    live = sum(worker.live for worker in workers)
    passes, seconds = spent(found)
    return Status(
        study=found.results.name,
        at=now,
        state="finished" if is_over(found) else _WISHED[found.wish],
        trials=_trials(found.results.trials),
        workers=workers,
        failures=_failures(found.attempts),
        retries=sum(attempt.attempt > 1 for attempt in found.attempts),
        stale_leases=sum(not worker.live for worker in workers),
        budget=limits(found),
        pace=pace(found, now, live),
        example_passes=passes,
        seconds=seconds,
        best=_best(found),
        measured=measurements(found),
        last_result=max((a.ended for a in found.attempts if a.ended is not None), default=None),
    )


def _trials(rows: tuple[TrialRow, ...]) -> dict[str, dict[str, int]]:
    """Counts by kind of arm and state; every pair is there."""
    counted = Counter((kind_of(row.arm), row.state) for row in rows)
    return {
        kind: {state: counted[kind, state] for state in TRIALS}  # type: ignore[index]
        for kind in ("search", "baseline")
    }


def kind_of(arm: str) -> str:
    """Whether an arm is the search or stands beside it."""
    return "search" if arm == "search" else "baseline"


def _failures(rows: tuple[AttemptRow, ...]) -> dict[str, int]:
    why = Counter(
        row.kind or OTHER
        for row in rows
        if row.ended is not None and row.state == "failed" and row.kind not in _DONE
    )
    return {kind: why[kind] for kind in (*FAILURES, *sorted(set(why) - set(FAILURES)))}


def _training(found: Seen, now: float) -> list[WorkerStatus]:
    rows = {row.number: row for row in found.results.trials}
    steps = found.spec.training.steps
    workers = []
    for attempt in found.attempts:
        row = rows.get(attempt.trial)
        if attempt.ended is not None or row is None or row.state != "running":
            continue
        host, pid = place(attempt.worker)
        until = attempt.lease_until
        workers.append(
            WorkerStatus(
                host=host,
                pid=pid,
                name=found.names.get(attempt.worker),
                trial=attempt.trial,
                doing=row.arm,
                share=min(1.0, row.curve[-1].step / steps) if row.curve else None,
                lease_seconds=None if until is None else until - now,
                seen_seconds=max(0.0, now - attempt.seen),
                live=_lives(attempt.worker, until, now),
            )
        )
    return workers


def _measuring(found: Seen, now: float) -> list[WorkerStatus]:
    workers = []
    for name, claim in found.claims.items():
        seed, _, arm = name.partition(":")
        host, pid = place(claim["worker"])
        workers.append(
            WorkerStatus(
                host=host,
                pid=pid,
                name=found.names.get(claim["worker"]),
                trial=None,
                doing=f"confirm {arm}, seed {seed}",
                share=None,
                lease_seconds=claim["until"] - now,
                seen_seconds=None,
                live=holds(claim, now),
            )
        )
    return workers


def _lives(worker: str, until: float | None, now: float) -> bool:
    """A process that is known to be gone is; another until its lease is over."""
    return alive(worker) is not False and (until is None or now < until)


def place(worker: str) -> tuple[str, int]:
    """Host and process of a worker.

    >>> place("node-7:4711:123")
    ('node-7', 4711)
    """
    host, pid, _ = worker.rsplit(":", 2)
    return host, int(pid)


def _best(found: Seen) -> BestSoFar | None:
    trial, metric = best_trial(found.results), found.results.objective[0]
    if trial is None:
        return None
    return BestSoFar(trial.number, trial.arm, metric, trial.metrics[metric], trial.parameters)
