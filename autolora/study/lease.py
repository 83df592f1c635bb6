"""Who works on a trial, whether they still do, and for how long they may."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tenure:
    """How a worker holds its trials.

    Attributes:
        lease_seconds: After how long without a sign of life a trial is no longer its worker's.
        retries: How often a trial whose worker is gone is tried again.
        checkpoint_bytes: How large that may be which is kept of a trial at each evaluation.
    """

    lease_seconds: float = 60.0
    retries: int = 4
    checkpoint_bytes: int = 64 * 2**20


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
