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

from autolora.errors import StorageFailed
from autolora.study.location import shown

# Faults of the program, not of the place: they keep their traceback.
_OURS = (IntegrityError, ProgrammingError, DataError, NotSupportedError, InternalError)

_OPTION = re.compile("connection option")  # a misspelt one comes as a ProgrammingError

_AGAIN = "run the same command again and it goes on"
_REASONS = (
    (
        r"disk is full|no space left|disk quota",
        "the disk is full",
        f"free some space, then {_AGAIN}",
    ),
    (r"readonly database|read-only", "it cannot be written", "name another place with --storage"),
    (
        r"unable to open database file",
        "the file cannot be opened",
        "check that its folder exists and can be written, or name another place with --storage",
    ),
    (
        r"malformed|not a database",
        "the file is damaged",
        "restore a copy, or save what can be read with: sqlite3 FILE .recover",
    ),
    (_OPTION.pattern, "its address has an option unknown to it", "correct what follows the ?"),
    (r"is locked", "another process has kept it locked for a minute", f"end it, then {_AGAIN}"),
    (r"disk i/o error", "the disk failed to read or write", f"check it, then {_AGAIN}"),
    (
        r"authentication failed|no password|role .* does not exist|permission denied",
        "the server refuses this user",
        "check user and password of the storage address",
    ),
    (r"database .* does not exist", "the server has no such database", "create it first"),
    (
        r"connect|timeout|timed out|server closed|terminat|shutting down|starting up|resolve",
        "the server does not answer",
        f"check that it runs and can be reached, then {_AGAIN}",
    ),
)


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Tells a failing database, disk or server as one sentence; faults of ours pass unchanged.

    Raises:
        StorageFailed: in place of the driver's error.
    """
    try:
        yield
    except (DatabaseError, InterfaceError, PoolTimeout, StorageInternalError, sqlite3.Error) as e:
        # Optuna wraps the error of the driver once more.
        cause = e.__cause__ if isinstance(e, StorageInternalError) else e
        if cause is None or (isinstance(cause, _OURS) and not _OPTION.search(str(cause))):
            raise
        raise StorageFailed(shown(url), *explain(cause, url)) from e


def explain(error: BaseException, url: URL) -> tuple[str, str]:
    """What is wrong and what to do, from the text of a driver's error.

    >>> from sqlalchemy.engine import make_url
    >>> explain(sqlite3.OperationalError("database or disk is full"), make_url("sqlite:///a.db"))[0]
    'the disk is full'
    """
    text = str(getattr(error, "orig", None) or error)
    for pattern, reason, remedy in _REASONS:
        if re.search(pattern, text, re.IGNORECASE):
            return reason, remedy
    line = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    secret = str(url.password) if url.password else None
    return (line.replace(secret, "***") if secret else line), "check the database"
