"""Delivering the results that wait on this disk: see spool.py."""

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.reading import read_file
from autolora.errors import AdapterFile, NoSuchStudy, SpoolNewer, StorageUnavailable, TakenAway
from autolora.study import spool
from autolora.study.reasons import INTERRUPTED
from autolora.study.records import attempts, trials
from autolora.study.spool import Result
from autolora.study.storage import Storage
from autolora.study.store import Store
from autolora.study.trials import trial_id

_ADAPTER_BYTES = 2**31
_LINES_BYTES = 2**28
_log = logging.getLogger(__name__)
_told: set[Path] = set()  # of which files it was said that only a newer version can read them


@dataclass(frozen=True)
class Delivered:
    """What became of results that waited: accepted, not wanted any more, still waiting."""

    accepted: int = 0
    ignored: int = 0
    left: int = 0

    def __add__(self, other: "Delivered") -> "Delivered":
        """Both together."""
        ignored, left = self.ignored + other.ignored, self.left + other.left
        return Delivered(self.accepted + other.accepted, ignored, left)


def wheres() -> dict[str, int]:
    """The databases for which results wait on this disk, with how many do."""
    found: dict[str, int] = {}
    for path in sorted(spool.folder().glob("*.jsonl")):
        with _taken(path) as file:
            lines = _read(path, file) if file else spool.waiting("")
            for where in (*(result.where for result in lines.results), *lines.newer):
                found[where] = found.get(where, 0) + 1
    return found


def deliver_quietly(storage: Storage) -> None:
    """Delivers what waits for a database that was just opened; where that fails, it waits on."""
    try:
        done = deliver(storage)
    except (OSError, StorageUnavailable, TakenAway, UpdateFinishedTrialError) as error:
        _log.warning("results wait in %s and were not delivered: %s", spool.folder(), error)
        return
    if done.accepted or done.ignored:
        _log.warning("%d results that waited were delivered", done.accepted)


def deliver(storage: Storage) -> Delivered:
    """Delivers every result that waits here for a database; what is delivered waits no more.

    Raises:
        StorageUnavailable: if the database does not take them.
    """
    done = Delivered()
    for path in sorted(spool.folder().glob("*.jsonl")):
        with _taken(path) as file:
            if file is None:
                continue  # its worker is delivering
            lines = _read(path, file)
            done += Delivered(left=len(lines.newer))
            for result in lines.results:
                if place(result.where) == place(storage.where):
                    done += _deliver(storage, path.parent, result)
                    spool.mark(file, path.parent, result)
                else:
                    done += Delivered(left=1)
    return done


def place(where: str) -> tuple[object, ...]:
    """A database without users and passwords, by which addresses are compared.

    >>> place("postgresql+psycopg://ada:***@db/studies") == place("postgresql+psycopg://db/studies")
    True
    >>> place("postgresql+psycopg:///?service=a") == place("postgresql+psycopg:///?service=b")
    False
    """
    try:
        url = make_url(where)
    except ArgumentError:
        return (where,)
    others = {name: url.query.get(name) for name in ("service", "host", "port", "dbname")}
    return url.get_backend_name(), url.host, url.port, url.database, *others.items()


def _deliver(storage: Storage, folder: Path, result: Result) -> Delivered:
    store = Store(storage, result.study)
    try:
        _check(store, result)
        adapter = _adapter(folder, result)
        given = (result.outcome, adapter, result.points)
        if store.finish(result.trial, *given) or _for_retry(store, result, adapter):
            _log.info("the result of trial %d of %s was delivered", result.trial, result.study)
            return Delivered(accepted=1)
    except (AdapterFile, NoSuchStudy, LookupError) as error:
        _log.warning("the result of trial %d is not wanted: %s", result.trial, error)
        return Delivered(ignored=1)
    _log.warning("%s", TakenAway(result.trial))
    return Delivered(ignored=1)


def _check(store: Store, result: Result) -> None:
    """Makes sure that a result is that of the trial which has its number now.

    Raises:
        LookupError: if plan or worker are others: the study was deleted and begun again.
    """
    at = attempts.c.study == store.name, attempts.c.trial == result.trial
    of = trials.c.study == store.name, trials.c.number == result.trial
    with store.storage.errors(), store.storage.engine.connect() as connection:
        worker = connection.scalar(select(attempts.c.worker).where(*at))
        digest = connection.scalar(select(trials.c.digest).where(*of))
    if (worker, digest) != (result.worker, result.plan.digest):
        raise LookupError(f"trial {result.trial} is another one now")


def _for_retry(store: Store, result: Result, adapter: Adapter | None) -> bool:
    """Gives a result to the trial that repeats its own, if nobody has begun that yet."""
    number = _take_retry(store, result.trial)
    if number is None:
        return False
    if store.claim(number, result.plan).state != "new":
        store.release(number, INTERRUPTED)
        return False
    return store.finish(number, result.outcome, adapter, result.points)


def _take_retry(store: Store, number: int) -> int | None:
    """Takes the trial that repeats another out of the queue; None if it does not wait."""
    storage = store.storage
    with storage.errors(), storage.turn():
        told = store.optuna_study().get_trials(deepcopy=False)
        last = _last_retry(told, number)
        if last.state != TrialState.WAITING:
            return None
        here = trial_id(storage, store.name, last.number)
        if not storage.optuna.set_trial_state_values(here, TrialState.RUNNING):
            return None
        first = told[number]
        for name, value in first.params.items():
            domain = first.distributions[name]
            storage.optuna.set_trial_param(here, name, domain.to_internal_repr(value), domain)
    return last.number if store.begin(last.number) else None


def _last_retry(told: list[FrozenTrial], number: int) -> FrozenTrial:
    """The last of the trials that repeat one, or that itself."""
    by_first = {trial.user_attrs.get("retry_of"): trial for trial in told}
    last = told[number]
    while last.number in by_first:
        last = by_first[last.number]
    return last


def _adapter(folder: Path, result: Result) -> Adapter | None:
    """The adapter of a result.

    Raises:
        AdapterFile: if it is not whole; the best result of an arm has one.
    """
    if result.adapter is None:
        return None
    path = folder / result.adapter
    return Adapter.from_bytes(read_file(path, _ADAPTER_BYTES), str(path))


@contextmanager
def _taken(path: Path) -> Iterator[IO[str] | None]:
    """A file of results, locked; None if its worker is at it."""
    with path.open("a+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its worker may have delivered it just now, and begun another under its name.
            same = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except (BlockingIOError, FileNotFoundError):
            same = False
        yield file if same else None


def _read(path: Path, file: IO[str]) -> spool.Waiting:
    """What waits in a file; torn lines are put aside, into a file beside it."""
    file.seek(0)
    found = spool.waiting(file.read(_LINES_BYTES))
    if found.torn:
        _put_aside(path, found.torn)
    if found.newer and path not in _told:
        _told.add(path)
        _log.warning("%s", SpoolNewer(path, len(found.newer)))
    if found.empty:
        path.unlink(missing_ok=True)
    return found


def _put_aside(path: Path, torn: Sequence[str]) -> None:
    aside = path.with_suffix(".torn")
    with aside.open("a+", encoding="utf-8", errors="replace") as kept:
        kept.seek(0)
        known = set(kept.read(_LINES_BYTES).split("\n"))
        kept.writelines(f"{line}\n" for line in torn if line not in known)
    _log.warning("%s: %d torn line(s) skipped, kept in %s", path, len(torn), aside)
