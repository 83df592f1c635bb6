"""Tuners of the user's own: a search algorithm and schedulers of Tune's over a study's training."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining
from ray.tune.search.optuna import OptunaSearch

import autolora
from autolora.integrations.ray_tune import param_space, trainable
from autolora.space.space import Space
from autolora.study.description import StudySpec, described
from autolora.study.session import Session

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]
TASK = Path(__file__).parents[1] / "backends"
STEPS = 4


@pytest.fixture(scope="module", autouse=True)
def _here() -> Iterator[None]:
    before, path = dict(os.environ), list(sys.path)
    os.environ |= {"PYTHONPATH": str(TASK), "OMP_NUM_THREADS": "1"}
    os.environ |= {"RAY_AIR_NEW_OUTPUT": "0"}
    sys.path.insert(0, str(TASK))
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def spec() -> StudySpec:
    from adding import description

    data = description(name="inline")
    training = {"steps": STEPS, "batch_size": 16, "evaluations": 2}
    return described({**data, "training": training})


def fitted(spec: StudySpec, folder: Path, **config: Any) -> tune.ResultGrid:
    space = config.pop("param_space", param_space(spec, allow_code=True))
    tuner = tune.Tuner(
        trainable(spec, allow_code=True),
        param_space=space,
        tune_config=tune.TuneConfig(metric="valid_loss", mode="min", reuse_actors=True, **config),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    return tuner.fit()


def test_optunas_search_and_asha_over_a_study(spec: StudySpec, tmp_path: Path) -> None:
    asha = ASHAScheduler(time_attr="step", max_t=STEPS, grace_period=2, reduction_factor=2)
    grid = fitted(spec, tmp_path, num_samples=5, search_alg=OptunaSearch(seed=0), scheduler=asha)
    assert not grid.errors
    assert {result.metrics["step"] for result in grid} <= {2, STEPS}
    best = grid.get_best_result(metric="loss", mode="min")
    assert best.metrics["step"] == STEPS
    assert {"train_loss", "valid_loss", "parameters", "loss"} <= set(best.metrics)
    model = Session(spec, allow_code=True).task.model()
    assert best.checkpoint is not None
    with best.checkpoint.as_directory() as folder:
        attached = autolora.load(model, folder)
    allocation = Session(spec, allow_code=True).space.proposal(best.config).allocation
    assert attached.allocation == allocation


def test_pbt_goes_on_from_the_checkpoint_of_another(spec: StudySpec, tmp_path: Path) -> None:
    """A rate that learns nothing is exchanged for that of the other, on the way."""
    rates = {"learning_rate": tune.grid_search([1e-9, 0.01])}
    pbt = PopulationBasedTraining(
        time_attr="step",
        perturbation_interval=2,
        hyperparam_mutations={"learning_rate": tune.loguniform(0.001, 0.01)},
        quantile_fraction=0.5,
        synch=True,
    )
    space = {"rank.all": 1, **rates}
    grid = fitted(spec, tmp_path, num_samples=1, scheduler=pbt, param_space=space)
    assert not grid.errors
    assert all(result.metrics["step"] == STEPS for result in grid)
    assert all(result.config["learning_rate"] > 1e-9 for result in grid)
    frames = [result.metrics_dataframe for result in grid]
    assert all(frame is not None and list(frame["step"]) for frame in frames)


def test_domains_are_those_of_the_space(spec: StudySpec) -> None:
    space: Space = Session(spec, allow_code=True).space
    domains = param_space(space)
    assert set(domains) == set(space.distributions)
    codes = {domains["rank.all"].sample() for _ in range(60)}
    assert codes == set(range(3))
    rates = [domains["learning_rate"].sample() for _ in range(60)]
    assert 0.001 <= min(rates) < max(rates) <= 0.01
