"""Taking turns between the processes that share a database."""

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, func, select

_TURN = 0x6175746F6C6F7261  # "autolora": the number of PostgreSQL's advisory lock
# Short, for a turn takes milliseconds; long where many wait, who would be most of the work.
_FIRST_SECONDS, _LONGEST_SECONDS = 0.002, 0.5


@contextmanager
def turn(engine: Engine, folder: Path | None) -> Iterator[None]:
    """One process at a time on a database; the turn of a process that dies ends with it.

    A SQLite database takes turns on its folder: a lock file would stay behind, and opening the
    database itself once more would release SQLite's own locks when it is closed.
    """
    if folder is None:
        with _server_turn(engine):
            yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Closing alone would leave it to a process that was forked meanwhile.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextmanager
def _server_turn(engine: Engine) -> Iterator[None]:
    """Holds an advisory lock for the length of a transaction, which PgBouncer keeps whole.

    Who waits holds no connection meanwhile: behind PgBouncer the waiting would take all there are,
    and the one whose turn it is needs a second one to do its work.
    """
    wait = _FIRST_SECONDS
    while True:
        with engine.connect() as connection:
            if connection.scalar(select(func.pg_try_advisory_xact_lock(_TURN))):
                yield
                return
        time.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(2 * wait, _LONGEST_SECONDS)
