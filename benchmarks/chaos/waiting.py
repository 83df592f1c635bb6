"""Making a study for a fault, and waiting for its moment."""

import subprocess
import time
from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, func, select

from autolora.study.records import attempts
from autolora.study.storage import open_storage
from benchmarks.chaos.place import PATIENCE_SECONDS, Place, Process


def created(place: Place) -> None:
    """Writes the study into its database, without a run."""
    from autolora.study.description import read_study
    from autolora.study.study import Study

    spec = read_study(place.folder / "sums.yaml")
    study = Study.create(spec, storage=place.url, folder=place.folder, allow_code=True)
    study.store.storage.close()


def until(place: Place, done: Callable[[], object]) -> None:
    """Waits for something that the processes of a place are to do.

    Raises:
        RuntimeError: if all of them have ended without it, or it takes too long.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        over = all(process.poll() is not None for process in place.started)
        if done():
            return
        if over or time.monotonic() > deadline:
            why = "every process had ended" if over else f"{PATIENCE_SECONDS:.0f} s were over"
            raise RuntimeError(f"{why} before it came to that; {place.last_words()}")
        time.sleep(0.1)


def codes(place: Place, processes: Sequence[Process]) -> list[int]:
    """How processes end.

    Raises:
        RuntimeError: if one does not.
    """
    try:
        return [process.wait(PATIENCE_SECONDS) for process in processes]
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"a process does not end; {place.last_words()}") from None


def attempts_that(place: Place, condition: ColumnElement[bool]) -> int:
    """How many attempts are so."""
    storage = open_storage(place.url, create=False)
    with storage.engine.connect() as connection:
        query = select(func.count()).select_from(attempts).where(condition)
        found = connection.scalar(query)
    storage.close()
    return int(found or 0)


def busy(place: Place) -> bool:
    """Whether any worker is at a trial."""
    return attempts_that(place, attempts.c.ended.is_(None)) > 0
