"""Who measures what: workers of one study, wherever they are, take jobs and measure none twice.

A claim holds while its process lives; where that cannot be seen, as from another machine, until
its time is over, which the worker renews.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from autolora.errors import AutoloraError
from autolora.study.confirm import Job, unmeasured
from autolora.study.lease import alive, this_worker
from autolora.study.register import Note, change, now, read
from autolora.study.retry import once
from autolora.study.store import Store

CLAIMS = "confirming"
LOOK_SECONDS = 0.5  # between looks at what others measure
SECONDS = 60.0  # that a claim holds without a word from another machine


def key(arm: str, seed: int) -> str:
    """The name of a job among the claims."""
    return f"{seed}:{arm}"


def left(store: Store, jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs that have no measurement yet."""
    return unmeasured(jobs, store.finals())


@contextmanager
def next_job(store: Store, jobs: Sequence[Job]) -> Iterator[Job | None]:
    """The next job that nobody else is at, for as long as it is measured.

    While others are at all that are left, it waits for them: one may be left behind. None when
    there are none left.
    """
    while waiting := left(store, jobs):
        job = claim(store, waiting)
        if job is not None:
            with _renewed(store, job):
                yield job
            return
        time.sleep(LOOK_SECONDS)
    yield None


def claim(store: Store, jobs: Sequence[Job]) -> Job | None:
    """Takes the first job that is free; None if others are at all of them."""
    mine = this_worker()

    def take(claims: Note) -> Note:
        moment = now(store)
        # A process is at one job at a time: what it claimed before, it does not hold any more.
        held = {n: of for n, of in claims.items() if of["worker"] != mine and holds(of, moment)}
        free = [key(job.arm, job.seed) for job in left(store, jobs)]
        taken = next((name for name in free if name not in held), None)
        return held if taken is None else {**held, taken: _mine(moment)}

    noted = change(store, CLAIMS, take)
    names = {name for name, of in noted.items() if of["worker"] == mine}
    return next((job for job in jobs if key(job.arm, job.seed) in names), None)


def release(store: Store, job: Job) -> None:
    """Gives a job up, or notes that it is done."""
    change(store, CLAIMS, lambda claims: _without(claims, key(job.arm, job.seed)))


def claims(store: Store) -> Note:
    """Who measures what now: by job, its worker and until when the claim holds."""
    return read(store, CLAIMS)


def holds(claim: Note, moment: float) -> bool:
    """Whether a claim is that of a worker which is still at it."""
    here = alive(claim["worker"])
    return bool(moment < claim["until"]) if here is None else here


def _mine(moment: float) -> Note:
    return {"worker": this_worker(), "until": moment + SECONDS}


def _without(claims: Note, name: str) -> Note:
    own = name in claims and claims[name]["worker"] == this_worker()
    return {n: c for n, c in claims.items() if not (own and n == name)}


@contextmanager
def _renewed(store: Store, job: Job) -> Iterator[None]:
    """Renews a claim in the background; gives it up at the end."""
    done = threading.Event()
    name = key(job.arm, job.seed)

    def again(claims: Note) -> Note:
        own = name in claims and claims[name]["worker"] == this_worker()
        return {**claims, name: _mine(now(store))} if own else claims

    def renew() -> None:
        while not done.wait(SECONDS / 3):
            with once(), suppress(AutoloraError):  # tried again in time; losing it loses nothing
                change(store, CLAIMS, again)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        release(store, job)
