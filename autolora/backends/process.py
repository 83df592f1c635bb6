"""Worker processes on this machine, one thread each.

A worker gets its payload as a line on its standard input and reports JSON lines on its standard
output. It watches its input: when that closes, the parent is gone and so is the worker, so nothing
goes on training behind a parent that was killed.
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
from queue import SimpleQueue
from typing import Any

from autolora.backends import Event, Listen, resolve
from autolora.errors import AutoloraError, WorkerFailed

_GRACE = 30  # seconds that an interrupted worker gets to note what it leaves behind
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Worker = subprocess.Popen[str]


def run(entry: str, payload: Mapping[str, Any], listen: Listen, *, workers: int = 2) -> None:
    """Calls the entry in each worker and passes on their events.

    Raises:
        AutoloraError: what a worker raised; the others are interrupted.
        KeyboardInterrupt: after every worker has been interrupted and has ended.
    """
    events: SimpleQueue[Event] = SimpleQueue()
    started = [
        _start(entry, {**payload, "worker": i, "workers": workers}, events) for i in range(workers)
    ]
    try:
        _listen(started, events, listen)
    except BaseException:
        _interrupt(started)
        raise
    finally:
        for worker in started:
            _close(worker)


def _start(entry: str, payload: Mapping[str, Any], events: "SimpleQueue[Event]") -> Worker:
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
    worker.stdin.write(json.dumps(payload) + "\n")
    worker.stdin.flush()
    threading.Thread(target=_read, args=(worker, events), daemon=True).start()
    return worker


def _read(worker: Worker, events: "SimpleQueue[Event]") -> None:
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
    events.put({"event": "ended", "code": worker.wait(), "words": "".join(last_words)})


def _listen(started: list[Worker], events: "SimpleQueue[Event]", listen: Listen) -> None:
    running = len(started)
    while running:
        event = events.get()
        if event["event"] == "raised":
            raise AutoloraError.with_code(event["message"], event["code"])
        if event["event"] == "ended":
            running -= 1
            if event["code"]:
                raise WorkerFailed(event["code"], event["words"])
        else:
            listen(event)


def _close(worker: Worker) -> None:
    for pipe in (worker.stdin, worker.stdout, worker.stderr):
        if pipe is not None:
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
