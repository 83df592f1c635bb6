"""Who works on a trial, whether they still do, and taking turns between processes."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, func, select

_TURN = 0x6175746F6C6F7261  # "autolora": the number of PostgreSQL's advisory lock


def this_worker() -> str:
    """This process as "host:pid:start": the start tells it from a later one with the same pid."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{started(pid) or 0}"


def alive(worker: str) -> bool | None:
    """Whether a worker's process still runs; None if it runs on another host.

    >>> alive(this_worker())
    True
    """
    host, pid, start = worker.rsplit(":", 2)
    if host != socket.gethostname():
        return None
    if Path("/proc/self/stat").exists():
        return started(int(pid)) == int(start)
    return _answers(int(pid))


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it has ended.

    Source: proc_pid_stat(5), fields 3 (state) and 22 (starttime). The name in field 2 may hold
    blanks and parentheses, so fields are counted from its last one.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    # A zombie has ended; only its parent has not noticed.
    return None if fields[0] in "ZX" else int(fields[19])


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def turn(engine: Engine, folder: Path | None) -> Iterator[None]:
    """One process at a time on a database; the turn of a process that dies ends with it.

    A SQLite database takes turns on its folder: a lock file would stay behind, and opening the
    database itself once more would release SQLite's own locks when it is closed.
    """
    if folder is None:
        with engine.connect() as connection:
            connection.execute(select(func.pg_advisory_lock(_TURN)))
            try:
                yield
            finally:
                connection.execute(select(func.pg_advisory_unlock(_TURN)))
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
