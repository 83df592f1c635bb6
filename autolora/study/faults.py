"""What a database driver's error means for the user."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from autolora.errors import StorageAway, StorageFailed
from autolora.study.location import shown

# Faults of the program, not of the place: they keep their traceback.
_OURS = (IntegrityError, ProgrammingError, DataError, NotSupportedError, InternalError)

_OPTION = re.compile("connection option")
# These come as a ProgrammingError or an InternalError, and are none of ours.
_PLACE = re.compile(f"{_OPTION.pattern}|permission denied|read-only transaction")

_AGAIN = "run the same command again and it goes on"
# What the text of an error says, in the order in which it is looked for; `True` where the same may
# go well a moment later.
_REASONS = (
    (
        r"disk is full|no space left|disk quota|could not extend file",
        "the disk is full",
        f"free some space, then {_AGAIN}",
        False,
    ),
    (
        r"readonly database|read-only",
        "it cannot be written",
        "name another place with --storage",
        False,
    ),
    (
        r"unable to open database file",
        "the file cannot be opened",
        "check that its folder exists and can be written, or name another place with --storage",
        False,
    ),
    (
        r"malformed|not a database",
        "the file is damaged",
        "restore a copy, or save what can be read with: sqlite3 FILE .recover",
        False,
    ),
    (
        _OPTION.pattern,
        "its address has an option unknown to it",
        "correct what follows the ?",
        False,
    ),
    (r"is locked", "another process keeps it locked", f"end it, then {_AGAIN}", True),
    (
        r"disk i/o error",
        "the disk failed to read or write",
        f"check it, then {_AGAIN}",
        False,
    ),
    (
        r"authentication failed|no password|role .* does not exist|permission denied",
        "the server refuses this user",
        "check user and password of the storage address",
        False,
    ),
    (r"database .* does not exist", "the server has no such database", "create it first", False),
    (
        r"connect|timeout|timed out|server closed|terminat|shutting down|starting up|resol"
        r"|recovery mode|too many clients|deadlock|could not serialize|conn crashed|broken pipe"
        r"|eof detected|unexpected eof",
        "the server does not answer",
        f"check that it runs and can be reached, then {_AGAIN}",
        True,
    ),
)


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Tells a failing database, disk or server as one sentence; faults of ours pass unchanged.

    Raises:
        StorageAway: in place of the driver's error, if it may go well a moment later.
        StorageFailed: otherwise.
    """
    try:
        yield
    except (DatabaseError, InterfaceError, PoolTimeout, StorageInternalError, sqlite3.Error) as e:
        # Optuna wraps the error of the driver once more.
        cause = e.__cause__ if isinstance(e, StorageInternalError) else e
        if cause is None or (isinstance(cause, _OURS) and not _PLACE.search(str(cause))):
            raise
        failed = StorageAway if passes(cause) else StorageFailed
        raise failed(shown(url), *explain(cause, url)) from e


def explain(error: BaseException, url: URL) -> tuple[str, str]:
    """What is wrong and what to do, from the text of a driver's error.

    >>> from sqlalchemy.engine import make_url
    >>> explain(sqlite3.OperationalError("database or disk is full"), make_url("sqlite:///a.db"))[0]
    'the disk is full'
    """
    text = _text(error)
    known = _known(text)
    if known is not None:
        return known[1], known[2]
    line = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    secret = str(url.password) if url.password else None
    return (line.replace(secret, "***") if secret else line), "check the database"


def passes(error: BaseException) -> bool:
    """Whether the same may go well a moment later.

    >>> passes(sqlite3.OperationalError("database is locked"))
    True
    >>> passes(sqlite3.OperationalError("database or disk is full"))
    False
    """
    known = _known(_text(error))
    return known is not None and known[3]


def _text(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error)


def _known(text: str) -> tuple[str, str, str, bool] | None:
    return next((r for r in _REASONS if re.search(r[0], text, re.IGNORECASE)), None)
