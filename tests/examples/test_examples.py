"""The examples run as they stand, on real models, and learn."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from autolora.errors import FetchFailed

FOLDER = Path(__file__).parents[2] / "examples"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:lightning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:lightning"),
]


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, **settings: Any) -> Any:
    try:
        return example(name).main(**settings)
    except FetchFailed as error:
        pytest.skip(str(error))


def test_a_plain_loop():
    assert run("plain_loop") < 1.2


def test_transformers_trainer():
    assert run("transformers_trainer") < 0.2


def test_lightnings_trainer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("lightning_trainer") < 0.4


def test_a_search_of_ranks_in_transformers_trainer():
    assert run("rank_search", trials=2)["learning_rate"] > 0


def test_every_example_is_tested_and_listed():
    names = {path.stem for path in FOLDER.glob("*.py")}
    text = (FOLDER / "README.md").read_text(encoding="utf-8") + Path(__file__).read_text(
        encoding="utf-8"
    )
    assert all(text.count(name) >= 2 for name in names)
