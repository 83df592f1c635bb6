"""Jobs that need no study: each does what its word says."""

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from autolora.backends import Do, Job, Listen, Stopped
from autolora.errors import UsageError


class Counting:
    """The words given, one job each; what is lost is given once more, if it may be."""

    entry = "counting:worker"

    def __init__(self, *words: str, again: bool = True) -> None:
        self.left: list[dict[str, Any]] = [{"n": n, "word": word} for n, word in enumerate(words)]
        self.lost_ones: list[tuple[int, str]] = []
        self.again = again

    def next(self) -> Job | None:
        return self.left.pop(0) if self.left else None

    def over(self) -> bool:
        return not self.left

    def lost(self, job: Job, reason: str) -> None:
        self.lost_ones.append((job["n"], reason))
        if self.again:
            self.left.append({"n": job["n"], "word": "say"})


def worker(payload: Mapping[str, Any]) -> Do:
    opened = {"pid": os.getpid(), "jobs": 0, "threads": os.environ["OMP_NUM_THREADS"]}

    def do(job: Job, listen: Listen, stopped: Stopped) -> None:
        opened["jobs"] += 1
        word = job["word"]
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "refuse":
            raise UsageError("that cannot be; write this instead")
        if word == "break":
            raise ZeroDivisionError("a fault of the program")
        if word == "wait":
            listen({"event": "waiting", "n": job["n"], "numbers": {"step": 1}})
            while not stopped():
                time.sleep(0.05)
        listen({"event": "said", "n": job["n"], **opened, "text": payload["text"]})

    return do
