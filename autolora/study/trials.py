"""The life of a trial once it is asked for: claimed, trained or reused, finished.

The row of the attempt decides who may write: once it is closed, nothing of that worker counts.

Our tables are written first and Optuna's state last. A process that dies in between leaves a
trial that Optuna calls running although its result is stored; reclaim.py completes it.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, RowMapping, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from autolora.artifacts.adapter import Adapter
from autolora.errors import TakenAway
from autolora.study import clock, kept, optunas
from autolora.study.entries import Claim, Outcome, Plan
from autolora.study.lease import Tenure
from autolora.study.reasons import taken_away
from autolora.study.records import attempts, checkpoints, curves, studies, trials
from autolora.study.storage import Storage
from autolora.training.curve import CurvePoint, Ledger

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def claim(storage: Storage, study: str, number: int, plan: Plan, tenure: Tenure) -> Claim:
    """Claims a configuration for a trial; a single trial at a time can hold it.

    Raises:
        TakenAway: if the trial is not this worker's any more.
    """
    while True:
        with suppress(IntegrityError), storage.engine.begin() as connection:
            _record_plan(connection, study, number, plan, plan.digest, tenure)
            return Claim("new", number)
        with storage.engine.begin() as connection:
            same = (trials.c.study == study) & (trials.c.claimed == plan.digest)
            owner = connection.execute(select(trials.c.number, trials.c.state).where(same)).first()
            if owner:
                _record_plan(connection, study, number, plan, None, tenure)
                return Claim("running" if owner.state == "running" else "finished", owner.number)
        # Released between the two statements: it is free now.


def reuse(storage: Storage, study: str, number: int, other: int) -> bool:
    """Finishes a trial with the stored result of another; it costs nothing."""
    row = stored(storage, study, other)
    if row is None:
        raise LookupError(f"trial {other} of {study} has no result")
    outcome = Outcome(
        row["state"],
        Ledger(0, 0.0, 0),
        tuple(row["objectives"] or ()),
        row["loss"],
        row["metrics"] or {},
        row["reason"],
    )
    of, to = trial_id(storage, study, other), trial_id(storage, study, number)
    with suppress(UpdateFinishedTrialError):
        for step, value in storage.optuna.get_trial(of).intermediate_values.items():
            storage.optuna.set_trial_intermediate_value(to, step, value)
    with storage.engine.begin() as connection:
        if write_outcome(connection, study, number, outcome):
            here = (trials.c.study == study) & (trials.c.number == number)
            connection.execute(update(trials).where(here).values(reused_from=other))
            if outcome.state == "complete":
                kept.copy(connection, study, number, other)
        elif not _ended_well(connection, study, number):
            return False
    tell(storage, study, number, outcome.state, outcome.objectives)
    return True


def curve(
    storage: Storage, study: str, number: int, points: Sequence[CurvePoint], tenure: Tenure
) -> bool:
    """Adds points to a trial's curve, a sign of life; False if the trial was taken away."""
    with storage.engine.begin() as connection:
        if not alive(connection, study, number, tenure):
            return False
        _add_points(connection, study, number, points)
    return True


def alive(connection: Connection, study: str, number: int, tenure: Tenure) -> bool:
    """Renews the lease of a trial within a transaction; False if the trial was taken away.

    No process can take it away before the transaction has ended.
    """
    now = clock.now(connection)
    lease = {"seen": now, "lease_until": now + tenure.lease_seconds}
    seen = update(attempts).where(*_open(study, number)).values(**lease)
    return connection.execute(seen).rowcount > 0


def finish(  # noqa: PLR0913 - a result
    storage: Storage,
    study: str,
    number: int,
    outcome: Outcome,
    adapter: Adapter | None = None,
    points: Sequence[CurvePoint] = (),
) -> bool:
    """Stores the result of a trial and tells Optuna; False if the trial was taken away.

    Called again for the same trial, it changes nothing: the first result stands.
    """
    outcome = outcome.settled()
    with storage.engine.begin() as connection:
        if write_outcome(connection, study, number, outcome):
            _add_points(connection, study, number, points)
            if adapter is not None and outcome.state == "complete":
                kept.keep(connection, study, number, adapter)
            if outcome.plan is not None:
                _describe(connection, study, number, outcome.plan.parameters)
        elif not _ended_well(connection, study, number):
            return False
    tell(storage, study, number, outcome.state, outcome.objectives)
    return True


def write_outcome(connection: Connection, study: str, number: int, outcome: Outcome) -> bool:
    """Writes the result of a trial in our tables; False if its attempt is closed."""
    row = outcome.row()
    ended = {"ended": clock.now(connection), "state": outcome.state, "reason": row["reason"]}
    ended["kind"] = outcome.ended_as
    attempt = update(attempts).where(*_open(study, number)).values(**ended)
    if connection.execute(attempt).rowcount == 0:
        return False
    if outcome.state == "failed" and outcome.reason != "diverged":
        row["claimed"] = None  # it may go better another time
    here = (trials.c.study == study) & (trials.c.number == number)
    claimed = connection.execute(update(trials).where(here).values(**row)).rowcount
    if not claimed and outcome.state != "failed":
        raise LookupError(f"trial {number} of {study} has a result but was never claimed")
    left = (checkpoints.c.study == study) & (checkpoints.c.trial == number)
    connection.execute(delete(checkpoints).where(left))
    return True


def _ended_well(connection: Connection, study: str, number: int) -> bool:
    """Whether a closed attempt was closed by its own result, rather than taken away."""
    here = (attempts.c.study == study) & (attempts.c.trial == number)
    row = connection.execute(select(attempts.c.kind, attempts.c.reason).where(here)).first()
    return row is not None and not taken_away(row.kind, row.reason)


def tell(
    storage: Storage, study: str, number: int, state: str, objectives: Sequence[float]
) -> None:
    """Tells Optuna the result of a trial.

    Past `Study.tell`, which lets samplers stop a study at this point: outside `optimize` that
    raises, and some warn about constraints.
    """
    here = trial_id(storage, study, number)
    values = list(objectives) or None
    if state == "pruned":
        values = _last_value(storage.optuna.get_trial(here))
    with suppress(UpdateFinishedTrialError):
        storage.optuna.set_trial_state_values(here, STATES[state], values)


def stored(storage: Storage, study: str, number: int) -> RowMapping | None:
    """What our table holds of a trial; None if it was never claimed."""
    with storage.engine.connect() as connection:
        here = (trials.c.study == study) & (trials.c.number == number)
        return connection.execute(select(trials).where(here)).mappings().first()


def trial_id(storage: Storage, study: str, number: int) -> int:
    """Optuna's own number of a trial, over all studies."""
    with storage.engine.connect() as connection:
        return optunas.known(connection, study, number).id


def _record_plan(  # noqa: PLR0913 - a row
    connection: Connection,
    study: str,
    number: int,
    plan: Plan,
    claimed: str | None,
    tenure: Tenure,
) -> None:
    # Read first: on SQLite what follows keeps all others from writing.
    trial, system = _known(connection, study, number, plan.parameters)
    if not (trial.running and alive(connection, study, number, tenure)):
        raise TakenAway(number)
    values: dict[str, Any] = {
        "arm": plan.arm,
        "digest": plan.digest,
        "allocation": dict(plan.allocation),
        "configuration": dict(plan.configuration),
        "parameters": plan.parameters,
        "state": "running",
        "claimed": claimed,
    }
    here = (trials.c.study == study) & (trials.c.number == number)
    if not connection.execute(update(trials).where(here).values(**values)).rowcount:
        connection.execute(insert(trials).values(study=study, number=number, **values))
        told = {"arm": plan.arm, "digest": plan.digest, "parameters": plan.parameters}
        optunas.set_attributes(connection, trial.id, told, system)


def _add_points(
    connection: Connection, study: str, number: int, points: Sequence[CurvePoint]
) -> None:
    """Adds points to a curve, each once."""
    if not points:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [_curve_row(study, number, point) for point in points]
    connection.execute(dialect.insert(curves).values(rows).on_conflict_do_nothing())


def _describe(connection: Connection, study: str, number: int, parameters: int) -> None:
    """Tells Optuna how many parameters a trial came to have, unless it holds it for finished."""
    trial, system = _known(connection, study, number, parameters)
    if trial.running:
        optunas.set_attributes(connection, trial.id, {"parameters": parameters}, system)


def _known(
    connection: Connection, study: str, number: int, parameters: int
) -> tuple[optunas.Known, dict[str, Any]]:
    """What Optuna knows a trial as, and the attribute that says how its parameters keep the budget.

    Of the two ways that Optuna reads constraints, it is the one that its dashboard shows as well.
    """
    budget = select(studies.c.budget_parameters).where(studies.c.name == study)
    limit = connection.scalar(budget)
    system = {} if limit is None else {"constraints": [parameters - limit]}
    return optunas.known(connection, study, number), system


def _open(study: str, number: int) -> tuple[Any, ...]:
    return attempts.c.study == study, attempts.c.trial == number, attempts.c.ended.is_(None)


def _curve_row(study: str, number: int, point: CurvePoint) -> dict[str, Any]:
    return {
        "study": study,
        "trial": number,
        "step": point.step,
        "train_loss": _number(point.train_loss),
        "valid_loss": _number(point.valid_loss),
        "learning_rate": point.learning_rate,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _last_value(trial: FrozenTrial) -> list[float] | None:
    """As Optuna does: a pruned trial is worth what it reported last."""
    if trial.last_step is None:
        return None
    value = trial.intermediate_values[trial.last_step]
    return None if math.isnan(value) else [value]
