"""The actor that does jobs on a node: one process, kept warm from job to job."""

import os
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ray import tune

from autolora.backends import Do, Event, Job, resolve
from autolora.errors import AutoloraError

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_BEAT_SECONDS = 5.0  # a result without news, so that Tune's wish to stop is heard


class Trial(tune.Trainable):
    """Does the job in its configuration; each evaluation is a result.

    What opening costs (the data, the model, what trials have in common) is paid once, at the first
    job of an actor.
    """

    def setup(self, config: dict[str, Any], payload: Mapping[str, Any] | None = None) -> None:
        """Begins the first job of this process."""
        assert payload is not None
        for name in _THREADS:
            os.environ.setdefault(name, str(max(1, int(payload["cpus"]))))
        _stay(payload["folder"])
        self._payload = payload
        self._do: Do | None = None
        self._numbers: dict[str, Any] = {}
        self._begin(config["job"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begins the next job in the same process, once the one before has ended."""
        self._running.end()
        self._begin(new_config["job"])
        return True

    def step(self) -> dict[str, Any]:
        """Waits for the next evaluation, or for the end."""
        events, done = self._running.news()
        for event in events:
            self._numbers |= event.get("numbers", {})
        return {**self._numbers, "events": events, "ended": done, "done": done}

    def halt(self) -> None:
        """Asks the job to stop at its next evaluation; nobody waits for that here."""
        self._running.halt()

    def cleanup(self) -> None:
        """Ends the job that runs, at its next evaluation."""
        self._running.end()

    def _begin(self, job: Job) -> None:
        self._numbers = {}
        self._running = Running(self._work, job)

    def _work(self) -> Do:
        if self._do is None:
            self._do = resolve(self._payload["entry"])(self._payload)
        return self._do


class Running:
    """One job in a thread of its own, so that Tune is answered meanwhile."""

    def __init__(self, work: Any, job: Job) -> None:
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work, job), daemon=True)
        self._thread.start()

    def news(self) -> tuple[list[Event], bool]:
        """The events up to the next evaluation, and whether the job has ended."""
        news: list[Event] = []
        while True:
            try:
                event = self._events.get(timeout=_BEAT_SECONDS)
            except Empty:
                return news, False
            if event is None:
                return news, True
            news.append(event)
            if event.get("event") != "trial" and "numbers" in event:
                return news, False

    def halt(self) -> None:
        """Asks the job to stop."""
        self._stop.set()

    def end(self) -> None:
        """Asks the job to stop and waits until it has."""
        self.halt()
        self._thread.join()

    def _run(self, work: Any, job: Job) -> None:
        try:
            work()(job, self._events.put, self._stop.is_set)
        except AutoloraError as error:
            told = {"event": "raised", "message": str(error), "code": error.exit_code}
            self._events.put(told)
        except BaseException:  # whatever it is, the driver is to know
            where = f"on {socket.gethostname()}:\n{traceback.format_exc()}"
            self._events.put({"event": "crashed", "words": where})
        finally:
            self._events.put(None)


def _stay(folder: str) -> None:
    """Paths of a study mean what they mean to its driver, where that folder is on this node too."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    if Path(folder).is_dir():
        os.chdir(folder)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
