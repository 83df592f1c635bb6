"""Reading a whole study back as `Results`."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import RowMapping, Table, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from autolora.study.entries import StudyRecord
from autolora.study.quiet import quiet
from autolora.study.records import attempts, curves, finals, trials
from autolora.study.results import FinalRow, Results, State, TrialRow
from autolora.study.storage import Storage
from autolora.study.worked import read_losses, read_works
from autolora.training.curve import CurvePoint, Ledger

FEWEST_FOR_IMPORTANCE = 4
_STATES: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def results(storage: Storage, study: optuna.Study, record: StudyRecord) -> Results:
    """Everything that a study stored, in a few queries whatever its size."""
    name = study.study_name
    told = study.get_trials(deepcopy=False)
    rows = trial_rows(storage, name, told)
    return Results(
        name=name,
        description=record.description,
        targets=record.targets,
        objective=record.objective,
        directions=record.directions,
        budget_parameters=record.budget_parameters,
        head_parameters=record.head_parameters,
        trials=rows,
        finals=read_finals(storage, name),
        importance=_importance(record, [t for t, row in zip(told, rows, strict=True) if _ran(row)]),
        groups=record.groups,
        best=_best(record, told, rows),
        versions=record.versions,
        works=read_works(storage, name),
        losses=read_losses(storage, name),
    ).current()


def spent(storage: Storage, name: str) -> Ledger:
    """What all trials cost together; the peak is the highest of any."""
    totals = select(
        func.coalesce(func.sum(trials.c.example_passes), 0),
        func.coalesce(func.sum(trials.c.seconds), 0.0),
        func.coalesce(func.max(trials.c.peak_bytes), 0),
    ).where(trials.c.study == name)
    with storage.engine.connect() as connection:
        passes, seconds, peak = connection.execute(totals).one()
    return Ledger(int(passes), float(seconds), int(peak))


def write_finals(storage: Storage, name: str, rows: Sequence[FinalRow]) -> bool:
    """Stores measurements of a trial on the test split, all or none; the first of a trial stand.

    Those of another trial of the arm at that seed, which was the best before, go.
    """
    try:
        with storage.engine.begin() as connection:
            for row in rows:
                before = (finals.c.arm == row.arm) & (finals.c.seed == row.seed)
                other = finals.c.trial != row.trial
                connection.execute(delete(finals).where(finals.c.study == name, before, other))
            connection.execute(insert(finals), [{"study": name, **vars(row)} for row in rows])
    except IntegrityError:
        return False
    return True


def read_finals(storage: Storage, name: str) -> tuple[FinalRow, ...]:
    """The measurements on the test split, by arm, seed and metric."""
    order = (finals.c.arm, finals.c.seed, finals.c.metric)
    query = select(finals).where(finals.c.study == name).order_by(*order)
    with storage.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(FinalRow(**{k: v for k, v in row.items() if k != "study"}) for row in rows)


def trial_rows(storage: Storage, name: str, told: Sequence[FrozenTrial]) -> tuple[TrialRow, ...]:
    """The trials that Optuna was told of, with what our tables hold of each."""
    ours = {row["number"]: row for row in _all(storage, trials, name)}
    why = {row["trial"]: row["reason"] for row in _all(storage, attempts, name)}
    points: dict[int, list[CurvePoint]] = defaultdict(list)
    for row in sorted(_all(storage, curves, name), key=lambda row: row["step"]):
        points[row["trial"]].append(_point(row))
    return tuple(
        _trial_row(trial, ours.get(trial.number, {}), tuple(points[trial.number]), why)
        for trial in told
    )


def _trial_row(
    trial: FrozenTrial,
    ours: Mapping[Any, Any],
    curve: tuple[CurvePoint, ...],
    why: Mapping[int, str | None],
) -> TrialRow:
    start = trial.datetime_start
    attrs = trial.user_attrs
    return TrialRow(
        number=trial.number,
        arm=ours.get("arm") or attrs.get("arm", "search"),
        state=_STATES[trial.state],
        allocation=ours.get("allocation") or {},
        configuration=ours.get("configuration") or trial.params,
        parameters=ours.get("parameters", attrs.get("parameters", 0)),
        loss=ours.get("loss"),
        metrics=ours.get("metrics") or {},
        curve=curve,
        example_passes=ours.get("example_passes", 0),
        seconds=ours.get("seconds", 0.0),
        peak_bytes=ours.get("peak_bytes", 0),
        started=start.timestamp() if start else None,
        reason=ours.get("reason") or why.get(trial.number),
        reused_from=ours.get("reused_from"),
    )


def _all(storage: Storage, table: Table, name: str) -> Sequence[RowMapping]:
    with storage.engine.connect() as connection:
        return connection.execute(select(table).where(table.c.study == name)).mappings().all()


def _point(row: RowMapping) -> CurvePoint:
    train, valid = (math.nan if row[c] is None else row[c] for c in ("train_loss", "valid_loss"))
    return CurvePoint(row["step"], train, valid, row["learning_rate"])


def _ran(row: TrialRow) -> bool:
    return row.arm == "search" and row.state == "complete"


def _best(record: StudyRecord, told: Sequence[FrozenTrial], rows: Sequence[TrialRow]) -> int | None:
    """The best complete trial within the budget, of any arm, by the first objective."""
    sign = 1 if record.directions[0] == "minimize" else -1
    limit = math.inf if record.budget_parameters is None else record.budget_parameters
    scores = [
        (sign * trial.values[0], trial.number)
        for trial, row in zip(told, rows, strict=True)
        if row.state == "complete" and row.parameters <= limit
    ]
    return min(scores)[1] if scores else None


def _importance(record: StudyRecord, searched: Sequence[FrozenTrial]) -> Mapping[str, float]:
    """The share of each searched number in the result, for one objective and enough trials.

    Baselines lack some numbers, which the estimate would take for conditional ones.
    """
    if len(record.directions) > 1 or len(searched) < FEWEST_FOR_IMPORTANCE:
        return {}
    if len({trial.value for trial in searched}) == 1:
        return {}
    with quiet():
        alone = optuna.create_study(direction=record.directions[0])
        alone.add_trials(searched)
        return optuna.importance.get_param_importances(alone)
