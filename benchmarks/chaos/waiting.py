"""Making a study for a fault, and waiting for its moment."""

import time
from collections.abc import Callable

from sqlalchemy import ColumnElement, func, select

from autolora.study.records import attempts
from autolora.study.storage import open_storage
from benchmarks.chaos.place import PATIENCE_SECONDS, Place


def created(place: Place) -> None:
    """Writes the study into its database, without a run."""
    from autolora.study.description import read_study
    from autolora.study.study import Study

    spec = read_study(place.folder / "sums.yaml")
    study = Study.create(spec, storage=place.url, folder=place.folder, allow_code=True)
    study.store.storage.close()


def until(done: Callable[[], object]) -> None:
    """Waits for something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("it never came to that")
        time.sleep(0.1)


def attempts_that(place: Place, condition: ColumnElement[bool]) -> int:
    storage = open_storage(place.url, create=False)
    with storage.engine.connect() as connection:
        query = select(func.count()).select_from(attempts).where(condition)
        found = connection.scalar(query)
    storage.close()
    return int(found or 0)
