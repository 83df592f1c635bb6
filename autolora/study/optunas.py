"""Several rows of Optuna's tables in one transaction, where its own interface makes one for each.

The tables are those of the schema that `open_storage` has checked. Names are left to the search
path of the connection, as Optuna does.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, text

_TRIAL = text(
    "SELECT trials.trial_id, trials.state FROM trials JOIN studies "
    "ON trials.study_id = studies.study_id WHERE studies.study_name = :study "
    "AND trials.number = :number"
)
_NUMBER = text("SELECT number FROM trials WHERE trial_id = :trial")
_WAITING = text("SELECT 1 FROM trials WHERE study_id = :study AND state = 'WAITING' LIMIT 1")
_STATE = text("SELECT state FROM trials WHERE trial_id = :trial")
_ATTRIBUTE = (
    'INSERT INTO trial_{}_attributes (trial_id, "key", value_json) VALUES (:trial, :key, :value) '
    'ON CONFLICT (trial_id, "key") DO UPDATE SET value_json = excluded.value_json'
)
_USER, _SYSTEM = text(_ATTRIBUTE.format("user")), text(_ATTRIBUTE.format("system"))
_PARAMETER = text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
    "VALUES (:trial, :name, :value, :distribution) "
    "ON CONFLICT (trial_id, param_name) DO UPDATE SET param_value = excluded.param_value, "
    "distribution_json = excluded.distribution_json"
)


class Known(NamedTuple):
    """Optuna's own number of a trial, over all studies, and whether the trial still runs."""

    id: int
    running: bool


def known(connection: Connection, study: str, number: int) -> Known:
    """What Optuna knows a trial as.

    Raises:
        KeyError: if there is no such trial.
    """
    row = connection.execute(_TRIAL, {"study": study, "number": number}).first()
    if row is None:
        raise KeyError(f"Optuna knows no trial {number} of {study}")
    return Known(row.trial_id, str(row.state) == "RUNNING")


def number_of(engine: Engine, trial: int) -> int:
    """The number of a trial within its study."""
    with engine.connect() as connection:
        return int(connection.execute(_NUMBER, {"trial": trial}).scalar_one())


def waits(engine: Engine, study: int) -> bool:
    """Whether any trial of a study waits in the queue, without reading all that are unfinished."""
    with engine.connect() as connection:
        return connection.scalar(_WAITING, {"study": study}) is not None


def set_attributes(
    connection: Connection, trial: int, user: Mapping[str, Any], system: Mapping[str, Any]
) -> None:
    """Sets attributes of a trial that runs."""
    for statement, values in ((_USER, user), (_SYSTEM, system)):
        rows = [{"trial": trial, "key": k, "value": json.dumps(v)} for k, v in values.items()]
        if rows:
            connection.execute(statement, rows)


@contextmanager
def parameters_together(trial: optuna.Trial) -> Iterator[None]:
    """Inside, what is suggested for a trial is gathered; it is stored together at the end.

    Raises:
        UpdateFinishedTrialError: at the end, if the trial does not run any more.
    """
    storage = trial.storage
    backend = getattr(storage, "_backend", storage)
    if not isinstance(backend, RDBStorage):
        yield
        return
    gathered = _Gathered(storage)
    trial.storage = gathered  # type: ignore[assignment]
    try:
        yield
    finally:
        trial.storage = storage
    if gathered.rows:
        _store(backend.engine, trial._trial_id, gathered.rows)  # noqa: SLF001


class _Gathered:
    """A storage that keeps parameters back; everything else is the real one's."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self.rows: list[dict[str, Any]] = []

    def set_trial_param(
        self, trial_id: int, param_name: str, value: float, distribution: BaseDistribution
    ) -> None:
        self.rows.append(
            {
                "trial": trial_id,
                "name": param_name,
                "value": value,
                "distribution": distribution_to_json(distribution),
            }
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def _store(engine: Engine, trial: int, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        state = str(connection.scalar(_STATE, {"trial": trial}))
        if state != "RUNNING":
            raise UpdateFinishedTrialError(f"a trial that is {state} takes no parameters")
        connection.execute(_PARAMETER, rows)
