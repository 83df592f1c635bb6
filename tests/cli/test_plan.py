"""What a plan says is what a run does: by counts, never by time."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from autolora.study.description import StudySpec, read_study
from autolora.study.plan import plan
from autolora.study.plan_phases import phases
from autolora.study.race import arms_of
from autolora.study.session import Session
from autolora.study.smoke import smoke
from autolora.study.study import Study
from autolora.study.timing import Timing

Place = Any  # of conftest.py
# Seconds an example, as if measured.
TIMING = Timing(0.1, 0.01, 0.02, 16, 3, 1, "cpu", 0)
STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
pytestmark = pytest.mark.usefixtures("digits_file", "weights_file")


def test_example_passes_are_those_of_the_run(place: Place) -> None:
    """Six steps of 16 from 60 examples: the fourth batch holds 12, and a second pass begins."""
    spec = read_study(
        place.study(
            training={"steps": 6, "batch_size": 16, "evaluations": 2},
            pruner={"name": "none"},
        )
    )
    told = plan(Session(spec))
    opening, search, confirmation = told.phases
    assert (opening.trials, search.trials, confirmation.trials) == (2, 2, 3)
    study = Study.create(spec, storage=place.storage, folder=place.folder)
    study.run()
    results = study.results()
    by_arm = dict.fromkeys(("head only", "uniform 1", "search"), 0)
    for trial in results.trials:
        by_arm[trial.arm] += trial.example_passes
    assert opening.exact
    assert opening.example_passes == by_arm["head only"] + by_arm["uniform 1"]
    assert search.example_passes == by_arm["search"]
    assert len({(final.arm, final.seed) for final in results.finals}) == confirmation.trials
    assert confirmation.example_passes == 3 * 60, "the adapters of the only seed were kept"
    uniform = next(trial for trial in results.trials if trial.arm == "uniform 1")
    assert told.uniform_parameters == {0: 0, 1: uniform.parameters}
    assert told.budget_parameters == results.budget_parameters == uniform.parameters
    assert told.space.head_parameters == results.head_parameters
    assert told.memory.gradient_bytes == 4 * (uniform.parameters + results.head_parameters)
    assert told.memory.peak_bytes > told.memory.model_bytes


@pytest.mark.parametrize(
    ("budget", "passes", "trials"),
    [
        ({"trials": 3}, 3 * 248, 3),
        ({"example_passes": 1000}, 1000 - 2 * 248 + 248, None),
        ({"example_passes": 100, "trials": 3}, 0, 3),
        ({"seconds": 1000}, None, None),
    ],
)
def test_the_most_that_a_search_takes(
    place: Place, budget: dict[str, int], passes: int | None, trials: int | None
) -> None:
    """A run has 2 · 64 training and 120 validation passes; the opening has two runs."""
    training = {"steps": 4, "batch_size": 16, "evaluations": 2}
    splits = {"train": 64, "valid": 60, "test": 60, "seed": 0}
    task = {
        "type": "image",
        "model": "mobilenet_v2",
        "data": {"path": "digits", "splits": splits},
        "image_size": 32,
    }
    budget = {**budget, "uniform_rank": 1}
    changed = {"task": task, "strategy": "optuna", "budget": budget, "confirm": {"seeds": 2}}
    session = Session(read_study(place.study(training=training, **changed)))
    opening, search, confirmation = phases(session, arms_of(session), TIMING)
    assert (opening.example_passes, opening.seconds) == (2 * 248, 2 * (64 * 0.1 + 120 * 0.01))
    assert (search.example_passes, search.trials, search.exact) == (passes, trials, False)
    assert (search.seconds == 0) == (passes == 0)
    assert confirmation.example_passes == 3 * 248 + 3 * 2 * 60
    assert confirmation.seconds == pytest.approx(3 * 7.6 + 3 * 2 * 60 * 0.02)


def test_plan_writes_nothing(place: Place) -> None:
    place.study()
    before = place.files()
    ran = place("plan", "digits")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"opening +2 ", ran.stdout)
    assert re.search(r"search +2 +at most +\d", ran.stdout)
    assert "estimated time" in ran.stdout
    assert place.files() == before


def test_smoke_keeps_all_but_the_size() -> None:
    spec = read_study("digits")
    small = smoke(spec)
    assert small.name == "digits-smoke"
    assert (small.space, small.objective, small.sampler) == (
        spec.space,
        spec.objective,
        spec.sampler,
    )
    assert small.task["data"]["splits"] == {"train": 200, "valid": 24, "test": 24, "seed": 0}
    assert small.task["model"] == spec.task["model"]
    assert small.training.steps == 4
    assert small.training.warmup == spec.training.warmup
    assert smoke(small.model_copy(update={"name": "digits"})) == small, "it is as small as it gets"


def test_smoke_leaves_shares_and_given_splits() -> None:
    spec = read_study("digits")
    for data in ({"path": "digits"}, {"path": "digits", "splits": {"valid": 0.2, "train": 90}}):
        whole = StudySpec.model_validate({**spec.model_dump(), "task": {**spec.task, "data": data}})
        assert smoke(whole).task["data"] == data


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_study_trains_as_a_smoke(place: Place, file: Path) -> None:
    """From nothing to an exported adapter; what it learns in four steps is of no account."""
    (place.folder / "studies").mkdir()
    (place.folder / "studies" / file.name).write_text(file.read_text())
    ran = place("search", file.stem, "--smoke")
    assert ran.returncode == 0, ran.stderr
    name = f"{yaml.safe_load(file.read_text())['name']}-smoke"
    assert (place.folder / "runs" / name / "adapter" / "adapter.json").exists()
    trials = json.loads(place("trials", name, "--json").stdout)
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    assert any(trial["parameters"] for trial in trials)
