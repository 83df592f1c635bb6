"""Getting trials, bound to the processes that asked for them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from autolora.study import clock
from autolora.study.lease import Tenure, this_worker
from autolora.study.making import ASKED, add
from autolora.study.optunas import number_of, parameters_together, waits
from autolora.study.records import attempts
from autolora.study.storage import Storage
from autolora.study.trials import trial_id


@dataclass
class Asked:
    """What one ask has done so far, should it have to be repeated.

    An answer that got lost does not tell whether something was done. So it is noted here before:
    what was taken from the queue, what was bound, and by what a trial is known that was made.
    """

    token: str = field(default_factory=lambda: uuid4().hex)
    taken: list[int] = field(default_factory=list)
    binding: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    made: bool = False
    bound: FrozenTrial | None = None

    def refuse(self, number: int) -> None:
        """Looks for a trial no more: it could not be bound, and stays another's.

        What is made next has a token of its own, so that nobody takes it for the one before.
        """
        self.refused.add(number)
        self.token, self.made = uuid4().hex, False


def ask(
    storage: Storage,
    study: optuna.Study,
    distributions: Mapping[str, BaseDistribution],
    tenure: Tenure,
    asked: Asked,
) -> optuna.Trial:
    """The next trial, which from now on is this process's; called again, it gives the same one.

    It is bound before the sampler is asked, which may take long. On SQLite, Optuna may give an
    enqueued trial to two processes at once; the second one to bind it asks again.
    """
    optunas = study._storage  # noqa: SLF001 - whose cache must know the trial
    of = study._study_id  # noqa: SLF001
    while asked.bound is None:
        found = _found(optunas, of, asked)
        if found is None and waits(storage.engine, of):
            found = _taken(optunas, of, asked)
        found = found or _made(storage, study, asked)
        if _bind(storage, study.study_name, found, tenure, asked):
            asked.bound = found
        else:
            asked.refuse(found.number)
    study._thread_local.cached_all_trials = None  # noqa: SLF001 - as Study.ask does
    trial = Trial(study, asked.bound._trial_id)  # noqa: SLF001
    with parameters_together(trial):
        for name, distribution in distributions.items():
            trial._suggest(name, distribution)  # noqa: SLF001
    return trial


def begin(storage: Storage, study: str, number: int, tenure: Tenure, asked: Asked) -> bool:
    """Binds a trial that was asked for elsewhere to this process; False if it is another's."""
    trial = storage.optuna.get_trial(trial_id(storage, study, number))
    return trial.state == TrialState.RUNNING and _bind(storage, study, trial, tenure, asked)


def _found(storage: BaseStorage, of: int, asked: Asked) -> FrozenTrial | None:
    """What this ask got before, where the answer was lost."""
    if not (asked.taken or asked.made):
        return None
    for trial in storage.get_all_trials(of, deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number in asked.refused:
            continue
        if trial.system_attrs.get(ASKED) == asked.token or trial.number in asked.taken:
            asked.taken = [number for number in asked.taken if number != trial.number]
            return trial
    asked.taken, asked.made = [], False
    return None


def _taken(storage: BaseStorage, of: int, asked: Asked) -> FrozenTrial | None:
    """The first trial of the queue; None if it is empty."""
    for trial in storage.get_all_trials(of, deepcopy=False, states=(TrialState.WAITING,)):
        asked.taken.append(trial.number)
        with suppress(UpdateFinishedTrialError):
            if storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):  # noqa: SLF001
                return trial
        asked.taken.remove(trial.number)
    return None


def _made(storage: Storage, study: optuna.Study, asked: Asked) -> FrozenTrial:
    """A new trial, and no second one."""
    asked.made = True
    made = create_trial(state=TrialState.RUNNING, system_attrs={ASKED: asked.token})
    made._trial_id = add(storage, study, made)  # noqa: SLF001
    made.number = number_of(storage.optuna.engine, made._trial_id)  # noqa: SLF001
    return made


def _bind(storage: Storage, study: str, trial: FrozenTrial, tenure: Tenure, asked: Asked) -> bool:
    """Makes a trial this process's; False if it is another's."""
    now = clock.now(storage.engine)
    row = {
        "study": study,
        "trial": trial.number,
        "attempt": trial.user_attrs.get("attempt", 1),
        "worker": this_worker(),
        "started": now,
        "seen": now,
        "lease_until": now + tenure.lease_seconds,
        "state": "running",
    }
    before = trial.number in asked.binding
    asked.binding.add(trial.number)
    try:
        with storage.engine.begin() as connection:
            connection.execute(insert(attempts).values(**row))
    except IntegrityError:
        return before and _is_mine(storage, study, trial.number)
    return True


def _is_mine(storage: Storage, study: str, number: int) -> bool:
    here = (attempts.c.study == study) & (attempts.c.trial == number) & attempts.c.ended.is_(None)
    with storage.engine.connect() as connection:
        return connection.scalar(select(attempts.c.worker).where(here)) == this_worker()
