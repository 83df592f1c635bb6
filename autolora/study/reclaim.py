"""Trials whose worker is gone: told as failed, and what they tried is enqueued again.

Each step may be the last one of this process too, so the steps are in an order in which another
process can take over after any of them: enqueue, tell Optuna, close our rows.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Row, delete, select, update

from autolora.study.lease import alive
from autolora.study.records import attempts, trials
from autolora.study.storage import Storage
from autolora.study.trials import stored, tell, trial_id

DIED = "worker died"
MOST_ATTEMPTS = 5  # a configuration that ends its worker each time is given up after so many
GRACE_SECONDS = 60.0  # for a trial that was asked for past `ask`, until `begin` binds it
SILENT_SECONDS = 3600.0  # after which a worker on another host counts as gone
_PER_TRIAL = ("parameters", "digest")  # user attributes that a new attempt sets again


@dataclass(frozen=True)
class _Seen:
    """What the attempts of a study say at one moment."""

    rows: dict[int, Row[Any]]
    asking: bool
    asked: bool

    @classmethod
    def of(cls, rows: Iterable[Row[Any]]) -> "_Seen":
        rows = tuple(rows)
        askers = [row for row in rows if row.trial is None]
        return cls(
            rows={row.trial: row for row in rows if row.trial is not None},
            asking=any(row.ended is None and _works(row) for row in askers),
            asked=bool(askers),
        )

    def is_gone(self, trial: FrozenTrial) -> bool:
        """Whether nobody works on a running trial."""
        row = self.rows.get(trial.number)
        if row is not None:
            return row.ended is not None or not _works(row)
        if self.asked:
            # Asked for by one of the askers: if one lives, it may be about to bind the trial.
            return not self.asking
        start = trial.datetime_start
        return start is not None and time.time() - start.timestamp() > GRACE_SECONDS


def reclaim(storage: Storage, study: str) -> list[int]:
    """Releases every running trial that nobody works on, and gives their numbers."""
    with storage.turn():
        of = storage.optuna.get_study_id_from_name(study)
        running = storage.optuna.get_all_trials(of, deepcopy=False, states=(TrialState.RUNNING,))
        with storage.engine.connect() as connection:
            query = select(attempts).where(attempts.c.study == study)
            seen = _Seen.of(connection.execute(query))
        gone = [trial for trial in running if seen.is_gone(trial)]
        unfinished = [trial for trial in gone if not _complete(storage, study, trial.number)]
        for trial in unfinished:
            _release(storage, study, trial, DIED)
        _close_the_told(storage, study, {t.number for t in running}, seen)
        if not seen.asking:
            _forget_askers(storage, study)
        return [trial.number for trial in unfinished]


def release(storage: Storage, study: str, number: int, reason: str) -> None:
    """Gives up a running trial; what it tried is enqueued again."""
    with storage.turn():
        trial = storage.optuna.get_trial(trial_id(storage, study, number))
        if trial.state == TrialState.RUNNING and not _complete(storage, study, number):
            _release(storage, study, trial, reason)


def _complete(storage: Storage, study: str, number: int) -> bool:
    """Tells Optuna the result of a trial whose worker stored it; False if it stored none."""
    row = stored(storage, study, number)
    if row is None or row["state"] == "running":
        return False
    tell(storage, study, number, row["state"], row["objectives"] or ())
    return True


def _release(storage: Storage, study: str, trial: FrozenTrial, reason: str) -> None:
    if not _enqueue_again(storage, study, trial, reason):
        reason = f"{reason}; given up after {MOST_ATTEMPTS} attempts"
    with suppress(UpdateFinishedTrialError):
        here = trial_id(storage, study, trial.number)
        storage.optuna.set_trial_state_values(here, TrialState.FAIL)
    _close(storage, study, trial.number, reason)


def _enqueue_again(storage: Storage, study: str, trial: FrozenTrial, reason: str) -> bool:
    """Enqueues the parameters of a trial, once; False if it was tried too often."""
    attempt = trial.user_attrs.get("attempt", 1) + (reason == DIED)
    if attempt > MOST_ATTEMPTS:
        return False
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    kept = {key: value for key, value in trial.user_attrs.items() if key not in _PER_TRIAL}
    of = storage.optuna.get_study_id_from_name(study)
    retried = {
        other.user_attrs.get("retry_of")
        for other in storage.optuna.get_all_trials(of, deepcopy=False)
    }
    # Without parameters and attributes nothing was proposed yet: the next to ask gets it anew.
    if (params or kept) and trial.number not in retried:
        again = {**kept, "attempt": attempt, "retry_of": trial.number}
        optuna.load_study(study_name=study, storage=storage.optuna).enqueue_trial(params, again)
    return True


def _close(storage: Storage, study: str, number: int, reason: str) -> None:
    """Closes an attempt and frees what its trial claimed."""
    ended = {"ended": time.time(), "state": "failed", "reason": reason}
    attempt = (attempts.c.study == study) & (attempts.c.trial == number)
    trial = (trials.c.study == study) & (trials.c.number == number)
    with storage.engine.begin() as connection:
        connection.execute(
            update(attempts).where(attempt, attempts.c.ended.is_(None)).values(**ended)
        )
        connection.execute(
            update(trials)
            .where(trial, trials.c.state == "running")
            .values(state="failed", reason=reason, claimed=None)
        )


def _close_the_told(storage: Storage, study: str, running: set[int], seen: _Seen) -> None:
    """Closes attempts that Optuna knows as finished: a process died right after telling it."""
    for number, row in seen.rows.items():
        if row.ended is None and number not in running:
            state = storage.optuna.get_trial(trial_id(storage, study, number)).state
            if state.is_finished():
                _close(storage, study, number, DIED)


def _forget_askers(storage: Storage, study: str) -> None:
    gone = attempts.c.trial.is_(None) & (attempts.c.study == study)
    with storage.engine.begin() as connection:
        rows = connection.execute(select(attempts).where(gone)).all()
        ids = [row.id for row in rows if row.ended is not None or not _works(row)]
        connection.execute(delete(attempts).where(attempts.c.id.in_(ids)))


def _works(row: Row[Any]) -> bool:
    here = alive(row.worker)
    return time.time() - row.seen < SILENT_SECONDS if here is None else here
