"""Renewing the leases of a process while it works, in the background."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import update

from autolora.errors import StorageUnavailable
from autolora.study import clock
from autolora.study.awake import presence
from autolora.study.lease import Tenure, this_worker
from autolora.study.records import attempts
from autolora.study.storage import Storage

_log = logging.getLogger(__name__)
_renewed: set[tuple[str, str]] = set()
_left: set[tuple[str, str, int]] = set()
_AGAIN = 10  # after a failure, so many times a lease


@contextmanager
def renewing(storage: Storage, study: str, tenure: Tenure) -> Iterator[None]:
    """Inside, every trial that this process holds stays its own, renewed every third of a lease.

    Writes that fail are tolerated: they are tried again, and after the end of the lease too, for
    nobody may have noticed. Within another such block of the study it does nothing more.
    """
    key = (storage.url, study)
    if key in _renewed:
        yield
        return
    _renewed.add(key)
    ended = threading.Event()
    work = threading.Thread(
        target=_renew, args=(storage, study, tenure, ended), name="leases", daemon=True
    )
    work.start()
    try:
        yield
    finally:
        ended.set()
        work.join(1.0)
        _renewed.discard(key)
        if not _renewed:
            presence.rest()


def leave(storage: Storage, study: str, trial: int) -> None:
    """Renews the lease of a trial no more: this process lives on, but not with that trial."""
    _left.add((storage.url, study, trial))


def renew(storage: Storage, study: str, tenure: Tenure) -> int:
    """Renews the leases of this process once; gives how many trials it holds."""
    now = clock.now(storage.engine)
    left = [trial for url, of, trial in _left if (url, of) == (storage.url, study)]
    mine = (
        (attempts.c.study == study)
        & (attempts.c.worker == this_worker())
        & attempts.c.ended.is_(None)
        & attempts.c.trial.is_not(None)
        & attempts.c.trial.not_in(left)
    )
    lease = {"seen": now, "lease_until": now + tenure.lease_seconds}
    with storage.errors(), storage.engine.begin() as connection:
        return connection.execute(update(attempts).where(mine).values(**lease)).rowcount


def _renew(storage: Storage, study: str, tenure: Tenure, ended: threading.Event) -> None:
    renewed = time.monotonic()
    pause = tenure.lease_seconds / 3
    presence.sign(tenure.lease_seconds)
    while not ended.wait(pause):
        presence.sign(tenure.lease_seconds)
        try:
            renew(storage, study, tenure)
        except StorageUnavailable as error:
            left = tenure.lease_seconds - (time.monotonic() - renewed)
            _log.warning("a lease was not renewed, %.0f s are left of it: %s", left, error)
            pause = tenure.lease_seconds / _AGAIN
        except Exception:
            _log.exception("a lease was not renewed")
            pause = tenure.lease_seconds / _AGAIN
        else:
            renewed, pause = time.monotonic(), tenure.lease_seconds / 3
