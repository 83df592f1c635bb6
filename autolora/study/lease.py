"""Who works on a trial, whether they still do, and for how long they may."""

import os
import re
import socket
from dataclasses import dataclass
from functools import cache
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
    """This process as "host:pid:start": the start tells it from a later one with the same pid.

    Where the system says so, the start names the boot and the pid namespace too, in which a pid
    means something: "4711@3f2a90b1c6d4-4026531836".
    """
    pid = os.getpid()
    start = f"{started(pid) or 0}"
    return f"{socket.gethostname()}:{pid}:{f'{start}@{realm()}' if realm() else start}"


def alive(worker: str) -> bool | None:
    """Whether a worker's process still runs; None if that cannot be seen from here.

    Two machines or containers may have one host name, and a machine uses pids again after it was
    started anew. So a pid is looked up only where it was given: in this boot and pid namespace, or,
    where the system names neither, on a host of this name.

    >>> alive(this_worker())
    True
    """
    host, pid, began = worker.rsplit(":", 2)
    start, _, of = began.partition("@")
    if of != realm() or not (of or host == socket.gethostname()):
        return None
    if not Path("/proc/self/stat").exists():
        return _answers(int(pid))
    now = started(int(pid))
    if now is None and _hidden(int(pid)):
        return None
    return now == int(start)


@cache
def realm() -> str:
    """Where the pids of this process mean something; empty where the system does not say.

    Source: https://docs.kernel.org/admin-guide/sysctl/kernel.html (random), pid_namespaces(7).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        space = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        return ""
    return f"{boot[:12]}-{space}"


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


def _hidden(pid: int) -> bool:
    """Whether a process is there that /proc does not show, as of other users (`hidepid`)."""
    return not Path(f"/proc/{pid}").exists() and _answers(pid)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
