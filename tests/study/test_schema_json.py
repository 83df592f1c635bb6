"""The schemas that ship are those of the descriptions, and know what the descriptions know."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from autolora.study.schema_json import space_schema, study_schema, write

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.yaml"))
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))


def mistakes(schema: dict[str, Any], data: Any) -> list[str]:
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(data)]


def test_the_files_are_up_to_date(tmp_path: Path) -> None:
    """After a change of a description: python -m autolora.study.schema_json docs/schema."""
    for made in write(tmp_path):
        shipped = ROOT / "docs" / "schema" / made.name
        assert json.loads(shipped.read_text()) == json.loads(made.read_text()), made.name


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_studies_fit(file: Path) -> None:
    assert mistakes(study_schema(), yaml.safe_load(file.read_text())) == []


@pytest.mark.parametrize("file", SPACES, ids=lambda file: file.stem)
def test_spaces_fit(file: Path) -> None:
    assert mistakes(space_schema(), yaml.safe_load(file.read_text())) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("taks", {}),
        ("task.modle", "minilm"),
        ("task.type", "smell"),
        ("task.data.colums", {}),
        ("training.steps", 0),
        ("sampler.population", 3),
        ("pruner.name", "nobody"),
        ("backend.name", "moon"),
    ],
)
def test_mistakes_are_marked(path: str, value: Any) -> None:
    study = yaml.safe_load((ROOT / "studies" / "cola.yaml").read_text())
    changed = copy.deepcopy(study)
    *parents, key = path.split(".")
    inner = changed
    for parent in parents:
        inner = inner[parent]
    inner[key] = value
    assert mistakes(study_schema(), changed)


def test_short_forms_and_own_modules_are_none() -> None:
    study = yaml.safe_load((ROOT / "studies" / "digits.yaml").read_text())
    study["task"]["data"] = "digits"
    study["sampler"] = {"name": "my_package.bandit", "arms": 3}
    study["space"] = {
        "ranks": [0, 1],
        "groups": [{"name": "all", "match": "*"}],
        "training": {
            "learning_rate": {"low": 0.1, "high": 1},
            "scale": {"rule": "alpha_over_rank"},
        },
    }
    assert mistakes(study_schema(), study) == []
