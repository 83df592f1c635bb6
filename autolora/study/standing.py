"""Where the run of a trial stands, kept at each evaluation for a worker that goes on with it."""

import hashlib
import logging

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from autolora.study import clock
from autolora.study.lease import Tenure
from autolora.study.records import checkpoints
from autolora.study.storage import Storage
from autolora.study.trials import alive, trial_id
from autolora.training.midway import Midway, about

_log = logging.getLogger(__name__)


def keep(  # noqa: PLR0913 - what is kept, and for whom
    storage: Storage, study: str, number: int, digest: str, midway: Midway, tenure: Tenure
) -> bool:
    """Keeps where a trial stands, in the place of what was kept; False if it was taken away.

    `digest` is that of the trial's plan. What needs more room than the study gives is not kept.
    """
    content = midway.to_bytes({"plan": digest})
    with storage.engine.begin() as connection:
        if not alive(connection, study, number, tenure):
            return False
        if len(content) <= tenure.checkpoint_bytes:
            row = {
                "study": study,
                "trial": number,
                "step": midway.place.step,
                "digest": hashlib.sha256(content).hexdigest(),
                "content": content,
                "saved": clock.now(connection),
            }
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            new = dialect.insert(checkpoints).values(**row)
            changed = {name: new.excluded[name] for name in ("step", "digest", "content", "saved")}
            keys = [checkpoints.c.study, checkpoints.c.trial]
            connection.execute(new.on_conflict_do_update(index_elements=keys, set_=changed))
    return True


def find(storage: Storage, study: str, number: int, digest: str) -> Midway | None:
    """Where a trial stands, or the one that it tries again; None if it begins afresh.

    What was kept is this trial's from now on.
    """
    content = _inherited(storage, study, number)
    if content is None:
        return None
    problem = _problem(content[0], content[1], digest)
    if problem is None:
        midway = Midway.from_bytes(content[0])
        _log.info("trial %d goes on after step %d", number, midway.place.step)
        return midway
    _log.warning("trial %d begins afresh: where it stood %s", number, problem)
    with storage.engine.begin() as connection:
        here = (checkpoints.c.study == study) & (checkpoints.c.trial == number)
        connection.execute(delete(checkpoints).where(here))
    return None


def _problem(content: bytes, digest: str, plan: str) -> str | None:
    """Why a run cannot go on from what was kept; None if it can."""
    if hashlib.sha256(content).hexdigest() != digest:
        return "is damaged in the database"
    if about(content).get("plan") != plan:
        return "belongs to another configuration, task, seed or version"
    return None


def _inherited(storage: Storage, study: str, number: int) -> tuple[bytes, str] | None:
    """What was kept of a trial, or of the latest of those that it tries again, with its digest."""
    of: int | None = number
    while of is not None:
        here = (checkpoints.c.study == study) & (checkpoints.c.trial == of)
        with storage.engine.begin() as connection:
            query = select(checkpoints.c.content, checkpoints.c.digest).where(here)
            row = connection.execute(query).first()
            if row is not None:
                connection.execute(update(checkpoints).where(here).values(trial=number))
                return bytes(row.content), row.digest
        before = storage.optuna.get_trial(trial_id(storage, study, of)).user_attrs
        of = before.get("retry_of")
    return None
