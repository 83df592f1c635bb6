"""New trials, each made once although Optuna itself tries again when a commit fails."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Engine, event, insert
from sqlalchemy.exc import IntegrityError

from autolora.study import clock
from autolora.study.reasons import TWICE, kind_of
from autolora.study.records import attempts
from autolora.study.storage import Storage

ASKED = "autolora:asked"  # a system attribute: what made a trial
_NOBODY = "nobody:0:0"


class _Errors:
    """Counts what the driver of a database raises."""

    count = 0

    def __call__(self, context: object) -> None:
        """Called by SQLAlchemy at each error."""
        del context
        self.count += 1


_heard: "WeakKeyDictionary[Engine, _Errors]" = WeakKeyDictionary()


def enqueue(
    storage: Storage, study: optuna.Study, params: Mapping[str, Any], about: Mapping[str, Any]
) -> None:
    """Enqueues parameters with user attributes `about`, once; called in a turn."""
    told = {"fixed_params": dict(params), ASKED: uuid4().hex}
    add(
        storage,
        study,
        create_trial(state=TrialState.WAITING, system_attrs=told, user_attrs=dict(about)),
    )


def add(storage: Storage, study: optuna.Study, trial: FrozenTrial) -> int:
    """Makes a trial that has a token of its own; gives Optuna's number of it over all studies.

    Where Optuna made it twice, because only an answer got lost, the first one is told as such.
    """
    optunas, of = study._storage, study._study_id  # noqa: SLF001
    errors = _errors(storage.optuna.engine)
    before = errors.count
    made = optunas.create_new_trial(of, trial)
    if errors.count != before:
        for other in optunas.get_all_trials(of, deepcopy=False, states=(trial.state,)):
            here = other._trial_id  # noqa: SLF001
            same = other.system_attrs.get(ASKED) == trial.system_attrs[ASKED]
            if same and here != made and close_unbound(storage, study.study_name, other.number):
                optunas.set_trial_state_values(here, TrialState.FAIL)
    return made


def close_unbound(storage: Storage, study: str, number: int, reason: str = TWICE) -> bool:
    """Notes a trial that nobody bound, so that nobody can any more; False if somebody did."""
    now = clock.now(storage.engine)
    row = {
        "study": study,
        "trial": number,
        "attempt": 1,
        "worker": _NOBODY,
        "started": now,
        "seen": now,
        "ended": now,
        "state": "failed",
        "reason": reason,
        "kind": kind_of(reason),
    }
    with suppress(IntegrityError), storage.engine.begin() as connection:
        connection.execute(insert(attempts).values(**row))
        return True
    return False


def _errors(engine: Engine) -> _Errors:
    if engine not in _heard:
        _heard[engine] = _Errors()
        event.listen(engine, "handle_error", _heard[engine])
    return _heard[engine]
