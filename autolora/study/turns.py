"""Taking turns between the processes that share a database.

A process that is frozen in its turn stops the others for `FROZEN_SECONDS` and no longer. When it
comes back it finds out before it commits anything, and does again what it was to do.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.exc import DBAPIError

from autolora.errors import StorageAway, TurnLost
from autolora.study import turnfile
from autolora.study.turnfile import Waiting

FROZEN_SECONDS = 60.0  # how long a turn may last without a commit, if others wait for theirs
# So long after its latest word a turn is sure, and is not asked for. A transaction in it that is
# frozen then is ended by the server (engines.py) before the turn itself is, so the next turn cannot
# begin before it: _SURE_SECONDS + TRANSACTION_SECONDS < FROZEN_SECONDS.
_SURE_SECONDS = 30.0
_TURN = 0x6175746F6C6F7261  # "autolora": the number of PostgreSQL's advisory lock
# Short, for a turn takes milliseconds; long where many wait, who would be most of the work.
_FIRST_SECONDS, _LONGEST_SECONDS = 0.002, 0.5
_LONGEST_LOCAL_SECONDS = 0.005  # a look at a file costs little, and whoever is late wastes its turn
_END = "if it is frozen, end it; then run the same command again"
_IDLE = "idle_in_transaction_session_timeout"


class Turn(Protocol):
    """A turn that this thread has."""

    def check(self) -> None:
        """Makes sure, before a commit, that it still has it.

        Raises:
            TurnLost: if it was gone too long and another process has its turn now.
        """
        ...


_held: ContextVar[Turn | None] = ContextVar("turn", default=None)


@contextmanager
def turn(engine: Engine, database: Path | None) -> Iterator[None]:
    """One process at a time on a database; the turn of a process that dies ends with it.

    `database` is the file of SQLite; None is a server. What is done inside must be safe to repeat.

    Raises:
        TurnLost: at a commit inside, if another process had to take the turn away.
    """
    with _server_turn(engine) if database is None else _file_turn(engine, database) as mine:
        token = _held.set(mine)
        try:
            yield
        finally:
            _held.reset(token)


@contextmanager
def creating(engine: Engine, folder: Path | None) -> Iterator[None]:
    """One process at a time that makes the tables of a database.

    There is no file yet beside which another could lie, and a folder in which nothing is to be
    made is to stay as it is: SQLite's turn is a lock on the folder.

    Raises:
        StorageAway: if another process is at it for too long.
    """
    if folder is None:
        with _server_turn(engine):
            yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock_soon(descriptor, folder)
        yield
    finally:
        turnfile.unlock(descriptor)


def _lock_soon(descriptor: int, folder: Path) -> None:
    ends, wait = time.monotonic() + FROZEN_SECONDS, _FIRST_SECONDS
    while not turnfile.locked(descriptor):
        if time.monotonic() > ends:
            raise StorageAway(str(folder), "another process makes tables there and ends not", _END)
        wait = _slept(wait, _LONGEST_LOCAL_SECONDS)


def fence(engine: Engine) -> None:
    """From now on no transaction of an engine commits in a turn that was lost."""
    event.listen(engine, "commit", _check)


def _check(connection: Connection) -> None:
    del connection
    mine = _held.get()
    if mine is not None:
        mine.check()


@contextmanager
def _file_turn(engine: Engine, database: Path) -> Iterator[Turn]:
    waiting = Waiting(engine, turnfile.place(database), FROZEN_SECONDS)
    wait = _FIRST_SECONDS
    while (descriptor := waiting.tried()) is None:
        wait = _slept(wait, _LONGEST_LOCAL_SECONDS)
    try:
        yield turnfile.FileTurn(waiting.path, descriptor)
    finally:
        turnfile.unlock(descriptor)


@dataclass
class _ServerTurn:
    connection: Connection
    heard: float  # when the connection last did something

    def check(self) -> None:
        """As long as its connection did something lately, the server cannot have ended it."""
        began = _now()
        if began - self.heard < _SURE_SECONDS:
            return
        try:
            self.connection.execute(select(1))
        except DBAPIError as error:
            raise TurnLost from error
        self.heard = began


@contextmanager
def _server_turn(engine: Engine) -> Iterator[Turn]:
    """Holds an advisory lock for the length of a transaction, which PgBouncer keeps whole.

    The server ends that transaction, and with it the turn, if it hears nothing of it for long.
    Who waits holds no connection meanwhile: behind PgBouncer the waiting would take all there are,
    and the one whose turn it is needs a second one to do its work.
    """
    limit = str(round(1000 * FROZEN_SECONDS))
    ask = select(func.pg_try_advisory_xact_lock(_TURN), func.set_config(_IDLE, limit, True))
    wait = _FIRST_SECONDS
    while True:
        with engine.connect() as connection:
            began = _now()
            if connection.execute(ask).one()[0]:
                yield _ServerTurn(connection, began)
                return
        wait = _slept(wait, _LONGEST_SECONDS)


def _slept(wait: float, longest: float) -> float:
    """Sleeps about so long; gives how long the next time."""
    time.sleep(wait * random.uniform(0.5, 1.5))
    return min(2 * wait, longest)


def _now() -> float:
    """A clock that goes on while this machine sleeps, as the server's does."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
