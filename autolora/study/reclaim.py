"""Trials that nobody works on: told as failed, and what they tried is enqueued again.

Each step may be the last one of this process too, so the steps are in an order in which another
process can take over after any of them: close the attempt, so that its worker can write nothing
any more; enqueue; tell Optuna; free what was claimed.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Row, delete, func, or_, select, update

from autolora.study import clock
from autolora.study.awake import presence
from autolora.study.lease import Tenure, alive
from autolora.study.making import close_unbound, enqueue
from autolora.study.reasons import COUNTED, DIED, EXPIRED, GIVEN_UP, kind_of, taken_away
from autolora.study.records import attempts, checkpoints, trials
from autolora.study.storage import Storage
from autolora.study.trials import stored, tell, trial_id

GRACE_SECONDS = 60.0  # for a trial that was asked for past `ask`, until `begin` binds it
_UNLEASED_SECONDS = 3600.0  # how long an attempt of a version without leases may be silent
_PER_TRIAL = ("parameters", "digest")  # user attributes that a new attempt sets again


def reclaim(storage: Storage, study: str, tenure: Tenure) -> list[int]:
    """Releases every running trial that nobody works on, and gives their numbers."""
    with storage.turn():
        of = storage.optuna.get_study_id_from_name(study)
        running = storage.optuna.get_all_trials(of, deepcopy=False, states=(TrialState.RUNNING,))
        rows, now = _seen(storage, study, [trial.number for trial in running], tenure)
        lenient = presence.was_away(tenure.lease_seconds)
        released = []
        for trial in running:
            row = rows.get(trial.number)
            reason = _gone(trial, row, now, lenient=lenient)
            if reason is None or _complete(storage, study, trial.number, row):
                continue
            if _closed(storage, study, trial.number, row, reason):
                _release(storage, study, trial, reason, tenure)
                released.append(trial.number)
        _close_the_told(storage, study, {trial.number for trial in running}, rows)
        return released


def release(storage: Storage, study: str, number: int, reason: str, tenure: Tenure) -> None:
    """Gives up a running trial; what it tried is enqueued again."""
    with storage.turn():
        trial = storage.optuna.get_trial(trial_id(storage, study, number))
        if trial.state != TrialState.RUNNING:
            return
        row = _seen(storage, study, [number], tenure)[0].get(number)
        if not _complete(storage, study, number, row):
            _close(storage, study, number, reason)
            _release(storage, study, trial, reason, tenure)


def explain(storage: Storage, study: str, number: int, reason: str) -> None:
    """Says of a trial whose worker was found dead why it died, which somebody learnt later."""
    better = kind_of(reason)
    with storage.engine.begin() as connection:
        for table, of in ((attempts, attempts.c.trial), (trials, trials.c.number)):
            here = (table.c.study == study) & (of == number) & table.c.reason.startswith(DIED)
            why: dict[str, Any] = {"reason": func.replace(table.c.reason, DIED, reason)}
            if table is attempts:
                why["kind"] = better
            connection.execute(update(table).where(here).values(**why))


def _seen(
    storage: Storage, study: str, running: Sequence[int], tenure: Tenure
) -> tuple[dict[int, Row[Any]], float]:
    """The attempts of running trials and all that are open, and the time on the shared clock.

    Every lease lasts a while after a start of the server: nobody could renew one before.
    """
    now = clock.now(storage.engine)
    until = func.coalesce(attempts.c.lease_until, attempts.c.seen + _UNLEASED_SECONDS)
    back = clock.up_since(storage.engine) + tenure.lease_seconds
    query = select(attempts, ((until < now) & (back < now)).label("expired")).where(
        attempts.c.study == study,
        attempts.c.trial.is_not(None),
        or_(attempts.c.ended.is_(None), attempts.c.trial.in_(running)),
    )
    with storage.engine.connect() as connection:
        rows = {row.trial: row for row in connection.execute(query)}
        return rows, clock.read(connection)


def _gone(trial: FrozenTrial, row: Row[Any] | None, now: float, *, lenient: bool) -> str | None:
    """Why nobody works on a running trial; None if somebody does, or may be about to.

    Where this is `lenient`, a lease does not run out: its worker may have been away with us.
    """
    if row is None:
        start = trial.datetime_start
        waits = start is None or now - start.timestamp() <= GRACE_SECONDS
        return None if waits else DIED
    if row.ended is not None:
        return row.reason or DIED  # its release was not finished
    if alive(row.worker) is False:
        return DIED
    return EXPIRED if row.expired and not lenient else None


def _complete(storage: Storage, study: str, number: int, row: Row[Any] | None) -> bool:
    """Tells Optuna the result of a trial whose worker stored it; False if it stored none."""
    ours = stored(storage, study, number)
    if ours is not None and ours["state"] != "running":
        tell(storage, study, number, ours["state"], ours["objectives"] or ())
        return True
    if row is None or row.ended is None or taken_away(row.kind, row.reason):
        return False
    tell(storage, study, number, "failed", ())  # before it was claimed
    return True


def _closed(storage: Storage, study: str, number: int, row: Row[Any] | None, reason: str) -> bool:
    """Closes the attempt of a trial that is gone; False if its worker showed itself meanwhile."""
    if row is not None and row.ended is not None:
        return True
    if row is None:
        return close_unbound(storage, study, number, reason)
    return _close(storage, study, number, reason, seen=row.seen)


def _close(
    storage: Storage, study: str, number: int, reason: str, seen: float | None = None
) -> bool:
    """Closes an open attempt, unless its worker was seen later; from now on it can write nothing.

    False if there was none.
    """
    here = (attempts.c.study == study) & (attempts.c.trial == number) & attempts.c.ended.is_(None)
    if seen is not None:
        here &= attempts.c.seen == seen
    ended = {"ended": clock.now(storage.engine), "state": "failed", "reason": reason}
    with storage.engine.begin() as connection:
        closing = update(attempts).where(here).values(**ended, kind=kind_of(reason))
        return connection.execute(closing).rowcount > 0


def _release(storage: Storage, study: str, trial: FrozenTrial, reason: str, tenure: Tenure) -> None:
    """The rest of a release, once the attempt is closed."""
    again = _enqueue_again(storage, study, trial, reason, tenure)
    if not again and GIVEN_UP not in reason:
        reason = f"{reason}; {GIVEN_UP} after {tenure.retries + 1} attempts"
    with suppress(UpdateFinishedTrialError):
        here = trial_id(storage, study, trial.number)
        storage.optuna.set_trial_state_values(here, TrialState.FAIL)
    _free(storage, study, trial.number, reason, again=again)


def _enqueue_again(
    storage: Storage, study: str, trial: FrozenTrial, reason: str, tenure: Tenure
) -> bool:
    """Enqueues the parameters of a trial, once; False if it was tried too often.

    Values and constraints are not passed on: those of the last attempt count.
    """
    attempt = trial.user_attrs.get("attempt", 1) + (kind_of(reason) in COUNTED)
    if attempt > tenure.retries + 1:
        return False
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    kept = {key: value for key, value in trial.user_attrs.items() if key not in _PER_TRIAL}
    of = storage.optuna.get_study_id_from_name(study)
    retried = {
        other.user_attrs.get("retry_of")
        for other in storage.optuna.get_all_trials(of, deepcopy=False)
    }
    if trial.number not in retried:
        again = {**kept, "attempt": attempt, "retry_of": trial.number}
        enqueue(storage, optuna.load_study(study_name=study, storage=storage.optuna), params, again)
    return True


def _free(storage: Storage, study: str, number: int, reason: str, *, again: bool) -> None:
    """Frees what a trial claimed; where it stood is kept for those who try it again."""
    attempt = (attempts.c.study == study) & (attempts.c.trial == number)
    trial = (trials.c.study == study) & (trials.c.number == number)
    left = (checkpoints.c.study == study) & (checkpoints.c.trial == number)
    with storage.engine.begin() as connection:
        connection.execute(update(attempts).where(attempt).values(reason=reason))
        connection.execute(
            update(trials)
            .where(trial, trials.c.state == "running")
            .values(state="failed", reason=reason, claimed=None)
        )
        if not again:
            connection.execute(delete(checkpoints).where(left))


def _close_the_told(
    storage: Storage, study: str, running: set[int], rows: dict[int, Row[Any]]
) -> None:
    """Closes attempts that Optuna knows as finished: another program ended them."""
    for number, row in rows.items():
        if row.ended is None and number not in running:
            state = storage.optuna.get_trial(trial_id(storage, study, number)).state
            if state.is_finished() and _close(storage, study, number, DIED):
                _free(storage, study, number, DIED, again=False)
