"""The life of a trial once it is asked for: claimed, trained or reused, finished.

Our tables are written first and Optuna's state last. A process that dies in between leaves a
trial that Optuna calls running although its result is stored; reclaim.py completes it.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from autolora.artifacts.adapter import Adapter
from autolora.study import kept
from autolora.study.entries import Claim, Outcome, Plan
from autolora.study.records import attempts, curves, studies, trials
from autolora.study.storage import Storage
from autolora.training.curve import CurvePoint, Ledger

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def claim(storage: Storage, study: str, number: int, plan: Plan) -> Claim:
    """Claims a configuration for a trial; a single trial at a time can hold it."""
    _record_plan(storage, study, number, plan)
    here = (trials.c.study == study) & (trials.c.number == number)
    while True:
        with suppress(IntegrityError), storage.engine.begin() as connection:
            connection.execute(update(trials).where(here).values(claimed=plan.digest))
            return Claim("new", number)
        with storage.engine.connect() as connection:
            same = (trials.c.study == study) & (trials.c.claimed == plan.digest)
            owner = connection.execute(select(trials.c.number, trials.c.state).where(same)).first()
        if owner:
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
    for step, value in storage.optuna.get_trial(of).intermediate_values.items():
        storage.optuna.set_trial_intermediate_value(to, step, value)
    with storage.engine.begin() as connection:
        if not write_outcome(connection, study, number, outcome):
            return False
        here = (trials.c.study == study) & (trials.c.number == number)
        connection.execute(update(trials).where(here).values(reused_from=other))
        if outcome.state == "complete":
            kept.copy(connection, study, number, other)
    tell(storage, study, number, outcome.state, outcome.objectives)
    return True


def curve(storage: Storage, study: str, number: int, points: Sequence[CurvePoint]) -> bool:
    """Adds points to a trial's curve, a sign of life; False if the trial was taken away."""
    with storage.engine.begin() as connection:
        seen = update(attempts).where(*_open(study, number)).values(seen=time.time())
        if connection.execute(seen).rowcount == 0:
            return False
        known = select(curves.c.step).where(curves.c.study == study, curves.c.trial == number)
        steps = set(connection.scalars(known))
        rows = [_curve_row(study, number, p) for p in points if p.step not in steps]
        if rows:
            connection.execute(insert(curves), rows)
    return True


def finish(
    storage: Storage, study: str, number: int, outcome: Outcome, adapter: Adapter | None
) -> bool:
    """Stores the result of a trial and tells Optuna; False if the trial was taken away."""
    outcome = outcome.settled()
    with storage.engine.begin() as connection:
        if not write_outcome(connection, study, number, outcome):
            return False
        if adapter is not None and outcome.state == "complete":
            kept.keep(connection, study, number, adapter)
    if outcome.plan is not None:
        _describe(storage, study, number, outcome.plan.parameters)
    tell(storage, study, number, outcome.state, outcome.objectives)
    return True


def write_outcome(connection: Connection, study: str, number: int, outcome: Outcome) -> bool:
    """Writes the result of a trial in our tables; False if the trial was taken away."""
    row = outcome.row()
    ended = {"ended": time.time(), "state": outcome.state, "reason": row["reason"]}
    attempt = update(attempts).where(*_open(study, number)).values(**ended)
    if connection.execute(attempt).rowcount == 0:
        return False
    if outcome.state == "failed" and outcome.reason != "diverged":
        row["claimed"] = None  # it may go better another time
    here = (trials.c.study == study) & (trials.c.number == number)
    claimed = connection.execute(update(trials).where(here).values(**row)).rowcount
    if not claimed and outcome.state != "failed":
        raise LookupError(f"trial {number} of {study} has a result but was never claimed")
    return True


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
    of = storage.optuna.get_study_id_from_name(study)
    return storage.optuna.get_trial_id_from_study_id_trial_number(of, number)


def _record_plan(storage: Storage, study: str, number: int, plan: Plan) -> None:
    values: dict[str, Any] = {
        "arm": plan.arm,
        "digest": plan.digest,
        "allocation": dict(plan.allocation),
        "configuration": dict(plan.configuration),
        "parameters": plan.parameters,
        "state": "running",
    }
    here = (trials.c.study == study) & (trials.c.number == number)
    with storage.engine.begin() as connection:
        if connection.execute(update(trials).where(here).values(**values)).rowcount:
            return
        connection.execute(insert(trials).values(study=study, number=number, **values))
    of = trial_id(storage, study, number)
    for key in ("arm", "digest"):
        storage.optuna.set_trial_user_attr(of, key, values[key])
    _describe(storage, study, number, plan.parameters)


def _describe(storage: Storage, study: str, number: int, parameters: int) -> None:
    """Tells Optuna how many parameters a trial has, and whether they keep the budget."""
    budget = select(studies.c.budget_parameters).where(studies.c.name == study)
    with storage.engine.connect() as connection:
        limit = connection.scalar(budget)
    of = trial_id(storage, study, number)
    storage.optuna.set_trial_user_attr(of, "parameters", parameters)
    if limit is not None:
        # Of the two ways that Optuna reads constraints, the one that its dashboard shows as well.
        storage.optuna.set_trial_system_attr(of, "constraints", [parameters - limit])


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
