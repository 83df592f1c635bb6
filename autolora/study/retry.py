"""Patience with a database that is away for a while: the same operation again, later.

What is repeated may have been done already, where only the answer was lost. So every operation that
is called through `patiently` gives the same when it is repeated.
"""

import logging
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from autolora.errors import BadValue, StorageAway
from autolora.study.storage import Storage

VARIABLE = "AUTOLORA_STORAGE_PATIENCE"
USUAL_SECONDS = 300.0
_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 2.5
_log = logging.getLogger(__name__)
_once: ContextVar[bool] = ContextVar("once", default=False)
Result = TypeVar("Result")


def patiently(storage: Storage, operation: Callable[[], Result]) -> Result:
    """Gives what an operation on the database gives, tried again while the database is away.

    The time between tries doubles up to two and a half seconds; it is drawn at random around that,
    so that the workers of a study do not come back all at once, nor long after the database did.
    An operation within another is tried once: the outer one repeats it.

    Raises:
        StorageAway: if the database stays away for AUTOLORA_STORAGE_PATIENCE seconds.
        StorageFailed: at once, if a repetition cannot help.
    """

    def told() -> Result:
        with storage.errors():
            return operation()

    return again(told)


def again(operation: Callable[[], Result]) -> Result:
    """As `patiently`, for an operation that tells itself what a failing database means."""
    if _once.get():
        return operation()
    began, wait = time.monotonic(), _FIRST_SECONDS
    left = patience()
    while True:
        try:
            with once():
                result = operation()
        except StorageAway as error:
            spent = time.monotonic() - began
            if spent >= left:
                raise
            if wait == _FIRST_SECONDS:
                _log.warning("%s (trying again for up to %.0f s)", error, left)
            time.sleep(min(wait * random.uniform(0.5, 1.5), left - spent))
            wait = min(2 * wait, _LONGEST_SECONDS)
        else:
            if wait > _FIRST_SECONDS:
                _log.warning("the database answers again after %.1f s", time.monotonic() - began)
            return result


@contextmanager
def once() -> Iterator[None]:
    """Inside, operations are tried once: for those that can wait until the database is back."""
    token = _once.set(True)
    try:
        yield
    finally:
        _once.reset(token)


def patience() -> float:
    """For how many seconds a database may be away, from the environment.

    Raises:
        BadValue: if that is no number.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else USUAL_SECONDS
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and seconds >= 0):
        raise BadValue(VARIABLE, "the environment", text, "give seconds, 0 or more")
    return seconds
