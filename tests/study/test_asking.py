"""An ask ends, also where a trial that it made was given up before it could be bound."""

import threading

import optuna
from made import DISTRIBUTIONS
from optuna.trial import TrialState, create_trial

from autolora.study import asking
from autolora.study.asking import Asked
from autolora.study.making import ASKED, add, close_unbound
from autolora.study.store import Store


def test_a_trial_that_cannot_be_bound_is_not_looked_for_for_ever(
    store: Store, study: optuna.Study
) -> None:
    """Its answer was lost; whoever gave it up ended between our row and telling Optuna."""
    asked = Asked(made=True)
    lost = create_trial(state=TrialState.RUNNING, system_attrs={ASKED: asked.token})
    add(store.storage, study, lost)
    assert close_unbound(store.storage, store.name, 0, "died")
    got: list[int] = []

    def ask() -> None:
        trial = asking.ask(store.storage, study, DISTRIBUTIONS, store.tenure, asked)
        got.append(trial.number)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(30)
    assert got == [1], "a new one instead"
    told = study.get_trials(deepcopy=False)
    assert told[0].system_attrs[ASKED] != told[1].system_attrs[ASKED]
    assert store.reclaim() == [0], "the first is finished by whoever looks next"
