"""Trials that one process asks for and another one trains.

They are bound to the process that asked, which renews their leases as those of its own, until the
worker takes them over. So at every moment a trial is somebody's whose end is noticed.
"""

from sqlalchemy import update

from autolora.study.clock import now
from autolora.study.lease import this_worker
from autolora.study.records import attempts
from autolora.study.retry import patiently
from autolora.study.store import Store


def take(store: Store, number: int, asker: str) -> bool:
    """Takes a trial over from the process that asked for it; False if it is not its any more."""
    return patiently(store.storage, lambda: _taken(store, number, asker))


def _taken(store: Store, number: int, asker: str) -> bool:
    engine = store.storage.engine
    time = now(engine)
    held = (
        (attempts.c.study == store.name)
        & (attempts.c.trial == number)
        & attempts.c.ended.is_(None)
        # Its own it is where this is a repetition: the answer to the first one was lost.
        & attempts.c.worker.in_([asker, this_worker()])
    )
    to = {
        "worker": this_worker(),
        "seen": time,
        "lease_until": time + store.tenure.lease_seconds,
    }
    with engine.begin() as connection:
        return connection.execute(update(attempts).where(held).values(**to)).rowcount == 1
