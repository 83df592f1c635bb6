"""What a sampler draws for a trial depends on the study, not on the process that asks."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import stepping
from made import DISTRIBUTIONS
from optuna.trial import TrialState, create_trial

from autolora import samplers
from autolora.registry import load
from autolora.study import draws
from autolora.study.description import Budget
from autolora.study.study import Study
from autolora.study.worker import Worker

KINDS = ["random", "tpe", "nsga2", "cmaes"]


def sampler(name: str) -> optuna.samplers.BaseSampler:
    numbers = {key: each for key, each in DISTRIBUTIONS.items() if hasattr(each, "low")}
    made: optuna.samplers.BaseSampler = load(samplers, name).sampler(
        numbers, seed=0, constrained=False
    )
    return made


def drawn(study: optuna.Study, trials: int) -> list[dict[str, Any]]:
    """What trials are to try, each asked for as a study asks."""
    found = []
    for _ in range(trials):
        told = study.get_trials(deepcopy=False)
        draws.seed(study.sampler, 7, draws.place(told))
        trial = study.ask()
        numbers = {
            "rank.all": trial.suggest_int("rank.all", 0, 4),
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        }
        found.append(numbers)
        study.tell(trial, numbers["learning_rate"])
    return found


@pytest.mark.parametrize("name", KINDS)
def test_a_process_that_follows_another_draws_what_that_one_would_have(name: str) -> None:
    whole = drawn(optuna.create_study(sampler=sampler(name)), 12)
    study = optuna.create_study(sampler=sampler(name))
    found = []
    for trials in (3, 4, 5):
        study.sampler = sampler(name)
        found += drawn(study, trials)
    assert found == whole
    assert len({str(each) for each in whole}) == len(whole)


def trial(state: TrialState, retry_of: int | None = None) -> optuna.trial.FrozenTrial:
    about = {} if retry_of is None else {"retry_of": retry_of}
    value = 1.0 if state is TrialState.COMPLETE else None
    return create_trial(state=state, value=value, user_attrs=about)


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ([], 0),
        ([(TrialState.COMPLETE, None), (TrialState.RUNNING, None)], 2),
        ([(TrialState.COMPLETE, None), (TrialState.WAITING, None)], 1),
        ([(TrialState.FAIL, None), (TrialState.COMPLETE, None), (TrialState.WAITING, 0)], 0),
        ([(TrialState.FAIL, None), (TrialState.COMPLETE, 0), (TrialState.COMPLETE, None)], 2),
        (
            [
                (TrialState.COMPLETE, None),
                (TrialState.FAIL, None),
                (TrialState.FAIL, 1),
                (TrialState.WAITING, 2),
            ],
            1,
        ),
    ],
)
def test_the_place_of_a_trial_leaves_out_what_is_tried_again(
    told: list[tuple[TrialState, int | None]], place: int
) -> None:
    trials = [trial(*each) for each in told]
    for number, each in enumerate(trials):
        each.number = number
    assert draws.place(trials) == place


def test_what_else_a_sampler_keeps_stays() -> None:
    class Own(optuna.samplers.RandomSampler):
        def __init__(self) -> None:
            super().__init__(seed=0)
            self.seen = [1, 2]

    own = Own()
    draws.seed(own, 1, 2)
    assert own.seen == [1, 2]


def proposed(folder: Path, *most: int) -> list[tuple[Any, ...]]:
    """What a study proposes whose workers leave after so many trials each."""
    spec = stepping.spec().model_copy(update={"budget": Budget(trials=6)})
    study = Study.create(spec, folder=folder, allow_code=True)
    payload = {"description": spec.model_dump(mode="json"), "url": study.store.storage.url}
    for trials in most:
        worker = Worker.of({**payload, "allow_code": True, "worker": 0}, lambda event: None)
        worker.search(most=trials)
        worker.store.storage.close()
    rows = study.results().trials
    study.store.storage.close()
    assert not [row for row in rows if row.reused_from is not None]
    return [(row.arm, dict(row.allocation), dict(row.configuration), row.loss) for row in rows]


def test_a_study_whose_worker_is_followed_by_another_proposes_nothing_again(
    tmp_path: Path,
) -> None:
    stepping.AT.clear()
    whole = proposed(tmp_path / "whole", 20)
    assert len(whole) == 6 + sum(row[0] != "search" for row in whole)
    assert proposed(tmp_path / "parts", 3, 2, 20) == whole
