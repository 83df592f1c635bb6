"""Backends by name: where trials run; one file each.

A backend offers one of two functions. `run(entry, payload, listen, *, workers)` calls the function
`entry` ("package.module:function") once in each of its workers with a JSON payload, which gains the
keys `worker` and `workers`; the worker finds its own work. `schedule(jobs, payload, listen, place)`
hands out single jobs instead, for schedulers that decide where each of them runs. Either passes
what workers report to `listen`, event by event, as plain data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

Event = Mapping[str, Any]
Job = Mapping[str, Any]
Listen = Callable[[Event], None]
Entry = Callable[[Mapping[str, Any], Listen], None]
Stopped = Callable[[], bool]
Do = Callable[[Job, Listen, Stopped], None]


class Backend(Protocol):
    """What a file of this folder offers whose workers find their own work."""

    def run(self, entry: str, payload: Mapping[str, Any], listen: Listen, *, workers: int) -> None:
        """Returns when every worker has; raises what a worker raised."""


class Jobs(Protocol):
    """Work that is handed out piece by piece.

    Attributes:
        entry: Names the function that opens a worker. It is called once in a worker's process, with
            the payload, and gives what does a job there; that is kept warm from job to job.
    """

    entry: str

    def next(self) -> Job | None:
        """A job as a small piece of JSON; None if there is none just now, or none any more."""

    def over(self) -> bool:
        """Whether there will be no further job."""

    def lost(self, job: Job, reason: str) -> None:
        """Called when a job cannot come to its end: its worker is gone."""


@dataclass(frozen=True)
class Place:
    """Where jobs run, and how many of them.

    Attributes:
        workers: How many run at once.
        cpus: Of each job; so many threads it computes with.
        gpus: Of each job; a share, as 0.5, is a promise of the job's and no wall.
        address: A cluster that is there; None for one on this machine, while it is needed.
        folder: Where the backend may write.
        one_host: Whether all workers must be on this machine.
        extras: What the backend is given in Python beside these, as callbacks of the user's own.
    """

    workers: int
    cpus: float = 1.0
    gpus: float = 0.0
    address: str | None = None
    folder: Path = Path("runs")
    one_host: bool = False
    extras: Mapping[str, Any] = field(default_factory=dict)


class Scheduler(Protocol):
    """What a file of this folder offers that hands out single jobs."""

    def schedule(
        self, jobs: Jobs, payload: Mapping[str, Any], listen: Listen, place: Place
    ) -> None:
        """Returns when the jobs are over and every worker has ended; raises what one raised."""


def resolve(entry: str) -> Any:
    """The function that "package.module:function" names."""
    module, _, function = entry.partition(":")
    return getattr(import_module(module), function)
