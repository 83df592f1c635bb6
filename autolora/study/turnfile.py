"""A turn on a SQLite database: a lock on a file beside it, that can be put in another's place.

The kernel ends a lock with its process, but not while that is frozen. Whoever waits too long for
one lets another file take the place of the locked one, while SQLite lets nobody write. The turn is
that of whom the file in place belongs to; this is looked at before each commit, when nobody else
can write either, so that of two processes which think it theirs only one can commit.

The lock is on a file of its own: opening the database once more would release SQLite's own locks
when it is closed. It stays when all have gone, and may be deleted then.
"""

import fcntl
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from autolora.errors import TurnLost, UnusablePlace

_log = logging.getLogger(__name__)
Stamp = tuple[int, int]


def place(database: Path) -> Path:
    """The file on which turns are taken."""
    return Path(f"{database}-turn")


@dataclass(frozen=True)
class FileTurn:
    """The turn of a process whose file is in place."""

    path: Path
    descriptor: int

    def check(self) -> None:
        """Makes sure that the file in place is the one that this process locked; shows life.

        Raises:
            TurnLost: if it is another's.
        """
        if not _in_place(self.descriptor, self.path):
            raise TurnLost
        os.utime(self.descriptor)


@dataclass
class Waiting:
    """Waiting for a turn, with an eye on who has it.

    A turn begins with a new time on the file, and so does each commit in it.
    """

    engine: Engine
    path: Path
    patience_seconds: float
    _seen: Stamp | None = None
    _since: float = field(default_factory=time.monotonic)

    def tried(self) -> int | None:
        """The descriptor of the locked file, if it is this process's turn now."""
        descriptor = _opened(self.path)
        if not locked(descriptor):
            stamp = _stamp(os.fstat(descriptor))
            os.close(descriptor)
            return self._looked(stamp)
        if _in_place(descriptor, self.path):
            os.utime(descriptor)
            return descriptor
        unlock(descriptor)
        return None

    def _looked(self, stamp: Stamp) -> int | None:
        if stamp != self._seen:
            self._seen, self._since = stamp, time.monotonic()
        elif time.monotonic() - self._since > self.patience_seconds:
            self._seen = None
            return self._replaced(stamp)
        return None

    def _replaced(self, stamp: Stamp) -> int | None:
        """Locks a new file and puts it in place; None if somebody had a turn meanwhile."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # nobody commits until it is done
            try:
                if _stamp(self.path.stat()) != stamp:
                    return None
                return self._put()
            finally:
                connection.rollback()

    def _put(self) -> int:
        fresh = Path(f"{self.path}.{os.getpid()}")
        fresh.unlink(missing_ok=True)  # of a process of the same number that died here
        descriptor = _opened(fresh)
        locked(descriptor)
        fresh.replace(self.path)
        _log.warning(
            "a process that did nothing for %.0f s in its turn has lost it", self.patience_seconds
        )
        return descriptor


def locked(descriptor: int) -> bool:
    """Locks a file or folder; False if another process has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Ends a lock; closing alone would leave it to a process that was forked meanwhile."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UnusablePlace(path, error.strerror or str(error)) from error


def _in_place(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_mtime_ns
