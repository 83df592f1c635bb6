"""Being told to make room: a scheduler sends SIGTERM before it takes the machine away."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Preempted(KeyboardInterrupt):
    """This process was told to end soon; unlike Ctrl-C, by nobody who watches."""


@contextmanager
def preemptible() -> Iterator[None]:
    """Inside, SIGTERM raises `Preempted`; only the main thread can arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(number: int, frame: object) -> NoReturn:
    del number, frame
    raise Preempted
