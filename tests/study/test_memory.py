"""Out of memory: the trial is repeated with batches in smaller parts, and the study remembers."""

from pathlib import Path
from typing import Any

import pytest

from autolora.errors import CodeNotAllowed, NoFeasibleTrial
from autolora.study.description import described
from autolora.study.study import Study


def description(batch_size: int = 16) -> dict[str, Any]:
    return {
        "name": "hungry",
        "task": {"type": "tensors", "entry": "hungry:make"},
        "space": {
            "ranks": [0, 1, 2],
            "groups": [{"name": "all"}],
            "training": {"learning_rate": {"low": 0.001, "high": 0.01}},
        },
        "training": {"steps": 2, "batch_size": batch_size, "evaluations": 1},
        "budget": {"trials": 2},
        "baselines": {"uniform_ranks": [1], "learning_rates": 1},
        "confirm": {"seeds": 2},
        "backend": {"name": "inline"},
    }


def study(folder: Path, **changes: Any) -> Study:
    spec = described(description(**changes))
    return Study.create(spec, folder=folder, allow_code=True)


def test_a_trial_is_repeated_in_smaller_parts_and_the_study_remembers(tmp_path: Path) -> None:
    events: list[Any] = []
    made = study(tmp_path)
    made.run(events.append)
    assert [e["parts"] for e in events if e["event"] == "memory"] == [2, 4]
    assert made.store.parts() == 4
    trials = made.results().trials
    assert [trial.state for trial in trials] == ["complete"] * 4
    # The first one lost a step of 16 examples twice; a whole run costs two steps and an evaluation.
    whole = 2 * 2 * 16 + 8
    assert [trial.example_passes for trial in trials] == [whole + 2 * 2 * 16, *[whole] * 3]
    again = Study.open("hungry", made.store.storage.url)
    assert again.store.parts() == 4


def test_what_can_never_fit_fails_with_the_reason(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("hungry.FITS", 0)
    made = study(tmp_path, batch_size=2)
    with pytest.raises(NoFeasibleTrial):
        made.run()
    reasons = {trial.reason for trial in made.results().trials}
    assert all("does not fit into memory" in (reason or "") for reason in reasons)


def test_code_is_run_only_if_it_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(CodeNotAllowed, match="--allow-code"):
        Study.create(described(description()), folder=tmp_path)
