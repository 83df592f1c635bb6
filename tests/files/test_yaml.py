"""Every file that ships with autolora fits the model it is for."""

from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from torchvision import models

from autolora import tasks
from autolora.lora.targets import Target, targets
from autolora.registry import load
from autolora.space.read import read_yaml
from autolora.space.spec import SpaceSpec
from autolora.strategies import Baselines
from autolora.strategies.optuna import opening
from autolora.study.description import StudySpec, described, read_study

ROOT = Path(__file__).parents[2]
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
CONVOLUTIONAL = [file for file in SPACES if file.stem in ("cnn", "cnn-dense", "uniform")]
STUDIES = sorted((ROOT / "studies").glob("*.yaml"))


@cache
def base() -> tuple[Target, ...]:
    """The targets of the real network, its head aside."""
    found = targets(models.mobilenet_v2(weights=None))
    return tuple(target for target in found if target.layer != "classifier.1")


def kinds(spec: SpaceSpec) -> set[str]:
    """The kinds of target that a space means to search."""
    return {kind for group in spec.groups for kind in group.kinds}


@pytest.mark.parametrize("file", SPACES, ids=lambda file: file.stem)
def test_search_space(file: Path) -> None:
    spec = read_yaml(file, SpaceSpec)
    assert spec.name == file.stem
    assert spec.description


@pytest.mark.parametrize("file", CONVOLUTIONAL, ids=lambda file: file.stem)
def test_a_search_space_takes_all_that_it_is_for(file: Path) -> None:
    spec = read_yaml(file, SpaceSpec)
    space = spec.resolve(base())
    assert set(space.targets) == {target for target in base() if target.kind in kinds(spec)}
    assert len(space.groups) <= 20


@pytest.mark.parametrize("file", CONVOLUTIONAL, ids=lambda file: file.stem)
@pytest.mark.parametrize(
    "name",
    ["mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5", "efficientnet_v2_s"],
)
def test_a_search_space_fits_the_networks_that_its_comment_names(file: Path, name: str) -> None:
    with torch.device("meta"):
        found = targets(getattr(models, name)(weights=None))
    spec = read_yaml(file, SpaceSpec)
    found = tuple(target for target in found if target.kind != "linear")
    assert set(spec.resolve(found).targets) == {t for t in found if t.kind in kinds(spec)}


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_study(file: Path) -> None:
    spec = read_study(file)
    assert spec.name == file.stem
    assert read_study(file.stem) == spec, "the bare name finds it"
    assert described(spec.model_dump(mode="json")) == spec, "as it stands in a database"
    given = {key: value for key, value in spec.task.items() if key != "type"}
    load(tasks, spec.task["type"]).OPTIONS.model_validate(given)


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_the_baselines_of_a_study_open_its_race(file: Path) -> None:
    spec = read_study(file)
    if spec.task["model"] != "mobilenet_v2":
        pytest.skip("the targets here are those of MobileNetV2")
    assert isinstance(spec.space, SpaceSpec)
    space = spec.space.resolve(base())
    ranks = Baselines(spec.baselines.uniform_ranks, spec.baselines.learning_rates)
    budget = spec.budget.parameters
    if spec.budget.uniform_rank:
        budget = space.uniform(spec.budget.uniform_rank).parameters(space.targets)
    space.check_budget(budget)
    arms = opening(space, ranks, budget)
    assert {arm.name for arm in arms} >= {"head only"}


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_key_of_a_study_counts(file: Path) -> None:
    """A study file reads as it was written: no key of it is dropped."""
    written = yaml.safe_load(file.read_text())
    read = read_yaml(file, StudySpec).model_dump(mode="json", exclude_unset=True)
    assert written.keys() <= read.keys() <= {*written, "strategy"}, "what it stands for is added"
    assert written.get("sampler", {}).items() <= read.get("sampler", {}).items()
    assert written["budget"] == read["budget"]
