"""What happens to the jobs of a run, from the first question to the last word."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from autolora.backends import Job, Jobs, Listen
from autolora.errors import AutoloraError, JobFailed, WorkersLost

_OF_A_FULL_NODE = ("ray.exceptions.OutOfMemoryError", "due to the node running low on memory")
_LAST_WORDS = 4000  # characters of what Ray says of a worker that is gone
_LOOK_SECONDS = 0.3  # between questions to a study that had no job


class Course:
    """What happens to the jobs of a run; everything that Tune calls leads here."""

    def __init__(self, jobs: Jobs, listen: Listen, most_lost: int) -> None:
        self.ended: BaseException | None = None
        self._jobs = jobs
        self._listen = listen
        self._most_lost = most_lost
        self._live: dict[str, Job] = {}
        self._workers: dict[tuple[str, int], int] = {}
        self._ended: set[str] = set()
        self._lost = 0
        self._asked = 0.0

    def ask(self, trial: str) -> Job | None:
        """The next job, for a trial of Tune's; None for none now."""
        if time.monotonic() - self._asked < _LOOK_SECONDS:
            return None
        job = self._jobs.next()
        if job is None:
            self._asked = time.monotonic()
        else:
            self._live[trial] = job
        return job

    def over(self) -> bool:
        """Whether nothing more is to be asked for."""
        return self.ended is not None or (not self._live and self._jobs.over())

    def heard(self, trial: str, result: dict[str, Any]) -> None:
        """Passes on what a worker reported."""
        worker = self._worker(result)
        if result.pop("ended", False):
            self._ended.add(trial)
        for event in result.pop("events", ()):
            if event["event"] == "raised":
                raise AutoloraError.with_code(event["message"], event["code"])
            if event["event"] == "crashed":
                raise JobFailed(event["words"])
            self._listen({**event, "worker": worker})

    def done(self, trial: str) -> bool:
        """Tune is done with a job; False if the job is not done, as a scheduler stopped it."""
        self._live.pop(trial, None)
        self._lost = 0
        ended = trial in self._ended
        self._ended.discard(trial)
        return ended

    def lost(self, trial: str, words: str) -> None:
        """A job has lost its worker."""
        job = self._live.pop(trial, None)
        if job is not None:
            self._jobs.lost(job, _reason(words))
        self._lost += 1
        if self._lost >= self._most_lost:
            raise WorkersLost(self._lost, words[-_LAST_WORDS:])

    def give_back(self) -> None:
        """Gives back the jobs that have not come to their end."""
        while self._live:
            _, job = self._live.popitem()
            self._jobs.lost(job, "interrupted")

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """An exception within ends the run, and is raised when Tune has ended."""
        try:
            yield
        except BaseException as error:  # Tune would wrap it
            self.end(error)

    def end(self, error: BaseException) -> None:
        """Ends the run; what runs is given back first, so that a late result is refused."""
        if self.ended is None:
            self.ended = error
            with suppress(AutoloraError):
                self.give_back()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within this context Ctrl-C ends the run in order; a second one ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def interrupt(*_: object) -> None:
            signal.signal(signal.SIGINT, before)
            self.ended = self.ended or KeyboardInterrupt()

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _worker(self, result: Mapping[str, Any]) -> int:
        """A small number for the process that a result comes from."""
        process = (str(result.get("node_ip")), int(result.get("pid", 0)))
        return self._workers.setdefault(process, len(self._workers))


def _reason(words: str) -> str:
    """Why a worker is gone, as Ray says it: its memory monitor ends workers of a full node.

    Tune writes down what the error says, not always its name.
    """
    full = any(said in words for said in _OF_A_FULL_NODE)
    return "out of memory" if full else "died"
