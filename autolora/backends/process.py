"""Worker processes on this machine, one thread each.

A worker gets its payload as a line on its standard input and reports JSON lines on its standard
output. It watches its input: when that closes, the parent is gone and so is the worker, so nothing
goes on training behind a parent that was killed. A worker that is killed is followed by another,
unless many are in a row.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from autolora.backends import Event, Listen, resolve
from autolora.errors import AutoloraError, WorkerFailed
from autolora.errors.unsaid import last_words

_MOST_LOST = 5  # workers in a row, at least, after which no other is started
_RESULTS = ("trial", "confirmed")  # events that tell of work that is done
_GRACE = 30  # seconds that an interrupted worker gets to note what it leaves behind
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Worker = subprocess.Popen[str]


def run(entry: str, payload: Mapping[str, Any], listen: Listen, *, workers: int = 2) -> None:
    """Calls the entry in each worker and passes on their events.

    Raises:
        WorkerFailed: if a worker ended without a word, or too many in a row were killed.
        AutoloraError: what a worker raised; the others are interrupted.
        KeyboardInterrupt: after every worker has been interrupted and has ended.
    """
    crew = _Crew(entry, {**payload, "workers": workers}, max(_MOST_LOST, 3 * workers))
    try:
        for number in range(workers):
            crew.start(number)
        crew.listen(listen)
    except BaseException:
        _interrupt(list(crew.running.values()))
        raise
    finally:
        for worker in crew.running.values():
            _close(worker)


@dataclass
class _Crew:
    """The workers of a run by their numbers; one that is killed is replaced."""

    entry: str
    payload: Mapping[str, Any]
    most_lost: int
    running: dict[int, Worker] = field(default_factory=dict)
    events: "SimpleQueue[Event]" = field(default_factory=SimpleQueue)
    lost: int = 0

    def start(self, number: int) -> None:
        """Starts a worker."""
        payload = {**self.payload, "worker": number}
        self.running[number] = _start(self.entry, number, payload, self.events)

    def listen(self, listen: Listen) -> None:
        """Passes on what workers say, until all have ended."""
        while self.running:
            event = self.events.get()
            if event["event"] == "raised":
                raise AutoloraError.with_code(event["message"], event["code"])
            if event["event"] == "ended":
                self._ended(event, listen)
                continue
            if event["event"] in _RESULTS:
                self.lost = 0
            listen(event)

    def _ended(self, event: Event, listen: Listen) -> None:
        number, code = event["number"], event["code"]
        _close(self.running.pop(number))
        if code == 0:
            return
        self.lost += 1
        if code > 0 or self.lost >= self.most_lost:
            raise WorkerFailed(code, event["words"])
        text = f"worker {number} was ended by signal {-code}; another takes its place"
        listen({"event": "said", "worker": number, "text": text})
        self.start(number)


def _start(
    entry: str, number: int, payload: Mapping[str, Any], events: "SimpleQueue[Event]"
) -> Worker:
    worker = subprocess.Popen(
        [sys.executable, "-m", "autolora.backends.process", entry],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**dict.fromkeys(_THREADS, "1"), **os.environ},
        # A Ctrl-C reaches the parent alone, which passes it on once.
        start_new_session=True,
    )
    assert worker.stdin
    with suppress(BrokenPipeError):  # it was killed before it could read
        worker.stdin.write(json.dumps(payload) + "\n")
        worker.stdin.flush()
    threading.Thread(target=_read, args=(worker, number, events), daemon=True).start()
    return worker


def _read(worker: Worker, number: int, events: "SimpleQueue[Event]") -> None:
    """Passes a worker's lines on; at the end says how it ended."""
    assert worker.stdout
    assert worker.stderr
    last_words: deque[str] = deque(maxlen=20)
    drain = threading.Thread(target=last_words.extend, args=(worker.stderr,), daemon=True)
    drain.start()
    for line in worker.stdout:
        with suppress(ValueError):  # a worker that was killed may leave half a line
            events.put(json.loads(line))
    drain.join()
    ended = {"code": worker.wait(), "words": "".join(last_words)}
    events.put({"event": "ended", "number": number, **ended})


def _close(worker: Worker) -> None:
    for pipe in (worker.stdin, worker.stdout, worker.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):  # a payload that its worker did not live to read
                pipe.close()


def _interrupt(started: list[Worker]) -> None:
    for worker in started:
        with suppress(ProcessLookupError):
            worker.send_signal(signal.SIGINT)
    for worker in started:
        try:
            worker.wait(_GRACE)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _end_with_parent() -> None:
    """Waits until the parent closes the pipe, by ending or by being killed."""
    os.read(0, 1)
    os._exit(1)


def main(entry: str) -> int:
    """A worker process: one entry called with one payload."""
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not look like an event
    lock = threading.Lock()

    def listen(event: Event) -> None:
        with lock:
            events.write(json.dumps(event) + "\n")

    last_words()
    payload = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        resolve(entry)(payload, listen)
    except AutoloraError as error:
        listen({"event": "raised", "message": str(error), "code": error.exit_code})
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
