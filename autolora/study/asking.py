"""Binding trials to the processes that asked for them."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from autolora.study.lease import this_worker
from autolora.study.records import attempts
from autolora.study.storage import Storage


def ask(
    storage: Storage, study: optuna.Study, distributions: Mapping[str, BaseDistribution]
) -> optuna.Trial:
    """The next trial, which from now on is this process's.

    A row tells beforehand that this process is asking: should it die before the trial is bound to
    it, the trial is known to be nobody's. On SQLite, Optuna may give an enqueued trial to two
    processes at once; the second one to bind it asks again.
    """
    row = _asking(study.study_name)
    with storage.engine.begin() as connection:
        new = insert(attempts).values(**row).returning(attempts.c.id)
        asker = connection.execute(new).scalar_one()
    asking = attempts.c.id == asker
    try:
        while True:
            with suppress(IntegrityError, UpdateFinishedTrialError):
                trial = study.ask(dict(distributions))
                bound = {"trial": trial.number, "state": "running", "started": time.time()}
                bound["attempt"] = trial.user_attrs.get("attempt", 1)
                with storage.engine.begin() as connection:
                    connection.execute(update(attempts).where(asking).values(**bound))
                return trial
    except BaseException:
        with storage.engine.begin() as connection:
            connection.execute(update(attempts).where(asking).values(ended=time.time()))
        raise


def begin(storage: Storage, study: str, number: int) -> bool:
    """Binds a trial that was asked for elsewhere to this process; False if it is another's."""
    row = _asking(study) | {"trial": number, "state": "running"}
    try:
        with storage.engine.begin() as connection:
            connection.execute(insert(attempts).values(**row))
    except IntegrityError:
        return False
    return True


def _asking(study: str) -> dict[str, Any]:
    now = time.time()
    return {
        "study": study,
        "attempt": 1,
        "worker": this_worker(),
        "started": now,
        "seen": now,
        "state": "asking",
    }
