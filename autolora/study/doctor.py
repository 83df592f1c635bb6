"""Whether this machine and a study's database are in order."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState
from sqlalchemy import delete, select

from autolora.backends.ray_tune.exposed import exposed
from autolora.errors import AutoloraError, NoDatabase, RayExposed
from autolora.study import schema
from autolora.study.lease import alive
from autolora.study.records import OF_A_STUDY, attempts, studies
from autolora.study.storage import Storage, open_storage, study_names
from autolora.study.versions import versions

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 2 * 2**30
_NAMES = (studies.c.name, *(table.c.study for table in OF_A_STUDY))


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `message` says what was found, and what to do if not `ok`."""

    name: str
    ok: bool
    message: str


def checks(address: str | None, folder: Path) -> list[Check]:
    """Looks at the versions, the disk, a cache folder and, given an address, a database.

    Nothing is repaired, created or imported that could fail.
    """
    found = versions()
    general = [_python(), *combinations(found), _free(folder), _cache(folder), _ray()]
    return general if address is None else [*general, *_database(address)]


def combinations(found: Mapping[str, str]) -> list[Check]:
    """Whether torch and what is built against it fit together, by their version numbers.

    Source: the compatibility tables of pytorch/vision and pytorch/audio. torchaudio 2.11 is built
    for torch 2.11 and later; older ones for the torch of the same number.

    >>> [c.message for c in combinations({"torch": "2.9.1", "torchaudio": "2.11.0"}) if not c.ok]
    ['torchaudio 2.11.0 does not load with torch 2.9.1; install torchaudio==2.9.*']
    """
    if "torch" not in found:
        return [Check("torch", ok=False, message="torch is not installed; pip install autolora")]
    torch = _minor(found["torch"])
    fitting = {"torchvision": f"0.{torch + 15}", "torchaudio": f"2.{min(torch, 11)}"}
    made = [Check("torch", ok=True, message=f"torch {found['torch']}")]
    for package, fits in fitting.items():
        if package in found:
            there = found[package]
            ok = there.split("+")[0].rpartition(".")[0] == fits
            problem = f" does not load with torch {found['torch']}; install {package}=={fits}.*"
            made.append(Check(package, ok, f"{package} {there}" + ("" if ok else problem)))
    return made


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _python() -> Check:
    here = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] >= OLDEST_PYTHON
    return Check("python", ok, f"Python {here}" + ("" if ok else "; 3.11 or later is needed"))


def _free(folder: Path) -> Check:
    free = shutil.disk_usage(_existing(folder)).free
    ok = free >= LEAST_FREE_BYTES
    message = f"{free / 2**30:.1f} GiB free at {folder}"
    return Check("disk", ok, message + ("" if ok else "; free at least 2 GiB"))


def _cache(folder: Path) -> Check:
    place = _existing(folder)
    ok = place.is_dir() and os.access(place, os.W_OK)
    message = f"{folder} can be written" if ok else f"{place} cannot be written; choose another"
    return Check("cache", ok, message)


def _ray() -> Check:
    """A cluster that others can reach runs whatever they send it."""
    where = exposed()
    message = "no Ray that strangers can use" if where is None else str(RayExposed(where))
    return Check("ray", where is None, message)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _database(address: str) -> Iterator[Check]:
    try:
        storage = open_storage(address, create=False)
    except NoDatabase as error:
        yield Check("storage", ok=True, message=str(error))
        return
    except AutoloraError as error:
        yield Check("storage", ok=False, message=str(error))
        return
    try:
        with storage.errors():
            yield _opened(storage)
            yield _orphans(storage)
            yield from (_running(storage, name) for name in _whole(storage))
    except AutoloraError as error:
        yield Check("storage", ok=False, message=str(error))
    finally:
        storage.close()


def _opened(storage: Storage) -> Check:
    with storage.engine.connect() as connection:
        found = schema.revision(connection)
    count = len(study_names(storage))
    return Check("storage", ok=True, message=f"{storage.where}: schema {found}, {count} studies")


def _whole(storage: Storage) -> list[str]:
    known = set(optuna.get_all_study_names(storage.optuna))
    return [name for name in study_names(storage) if name in known]


def clear_orphans(address: str) -> list[str]:
    """Deletes what belongs to studies that are gone, and gives their names.

    Raises:
        StorageUnavailable: if the database cannot be read or written.
    """
    storage = open_storage(address, create=False)
    try:
        with storage.errors(), storage.turn():
            gone = _gone(storage)
            with storage.engine.begin() as connection:
                for column in _NAMES:
                    connection.execute(delete(column.table).where(column.in_(gone)))
            return gone
    finally:
        storage.close()


def _gone(storage: Storage) -> list[str]:
    """The studies of which only rows of ours are left: Optuna's dashboard deletes its part alone.

    A study is made in a turn, ours first: outside of one it may be seen half made.
    """
    found: set[str] = set()
    with storage.engine.connect() as connection:
        for column in _NAMES:
            found |= set(connection.scalars(select(column).distinct()))
    return sorted(found - set(optuna.get_all_study_names(storage.optuna)))


def _orphans(storage: Storage) -> Check:
    gone = _gone(storage)
    if not gone:
        return Check("orphans", ok=True, message="every study is whole")
    problem = (
        f"Optuna's part is gone of: {', '.join(gone)}; the next search of that name starts afresh; "
        "clear what is left with: autolora doctor --fix"
    )
    return Check("orphans", ok=False, message=problem)


def _running(storage: Storage, name: str) -> Check:
    of = storage.optuna.get_study_id_from_name(name)
    running = storage.optuna.get_all_trials(of, deepcopy=False, states=(TrialState.RUNNING,))
    query = select(attempts.c.trial, attempts.c.worker).where(
        attempts.c.study == name, attempts.c.ended.is_(None)
    )
    with storage.engine.connect() as connection:
        workers = {row.trial: row.worker for row in connection.execute(query)}
    dead = [t.number for t in running if alive(workers.get(t.number, "gone:0:0")) is False]
    lost = [t.number for t in running if t.number not in workers]
    if dead or lost:
        numbers = ", ".join(map(str, sorted({*dead, *lost})))
        problem = f"trials {numbers} of {name} run without a worker; search again to go on"
        return Check("trials", ok=False, message=problem)
    return Check("trials", ok=True, message=f"{len(running)} trials of {name} are running")
