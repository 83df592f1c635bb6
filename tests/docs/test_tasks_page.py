"""The page of tasks: its studies are studies, its tables name all there is, its examples run."""

import doctest
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from autolora import metrics, objectives, tasks
from autolora.data.assets import fetch
from autolora.data.vision.augment import Augment
from autolora.errors import FetchFailed
from autolora.registry import load, names
from autolora.space.read import validate
from autolora.study.description import described
from autolora.study.plan import plan
from autolora.study.session import Session

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
WHOLE = {block["name"]: block for block in BLOCKS if "name" in block}
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.get("name", next(iter(block))))
def test_every_block_is_a_study_or_a_part_of_one(block: dict[str, Any]) -> None:
    spec = described(WHOLE["reviews"] | block)
    options = dict(spec.task)
    case = load(tasks, options.pop("type"))
    chosen = validate(options, case.OPTIONS, "task")
    wanted = chosen.metrics or ()
    assert set(metrics.metrics(wanted)) == {"loss", *wanted}


@pytest.mark.parametrize("name", names(tasks))
def test_the_tables_name_every_option(name: str) -> None:
    section = PAGE.split(f"## {name.capitalize()}\n")[1].split("\n## ")[0]
    told = set(re.findall(r"`(\w+)`", section))
    assert set(load(tasks, name).OPTIONS.model_fields) <= told
    if name == "image":
        assert set(Augment.model_fields) <= told


def test_every_objective_and_metric_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE))
    assert {*names(objectives), *names(metrics)} <= told


def test_the_table_of_metrics_says_what_each_measures() -> None:
    section = PAGE.split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \| (\w+)", section, re.MULTILINE)
    measured = {"labels": "labels", "numbers": "numbers", "texts": "texts", "masks": "pixels"}
    assert len(rows) == 6
    for cell, word in rows:
        told = re.findall(r"`(\w+)`", cell)
        assert set(told) <= set(metrics.metrics(told, of=measured.get(word, "tokens")))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data and the code that the page names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("sums.py").write_text(CODE, encoding="utf-8")
    generator = np.random.default_rng(0)
    reviews, words, clips, answers = ["text,label"], ["audio,label"], ["audio,said,speaker"], []
    for i in range(60):
        kind = ("bad", "good")[i % 2]
        reviews.append(f"number {i} was {kind},{kind}")
        answers.append(json.dumps({"question": f"Is {i} odd?", "answer": f"It is {kind}."}))
        pixels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Path("photos", kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(f"photos/{kind}/{i}.png")
        soundfile.write(f"{i}.wav", generator.normal(0, 0.1, 4000 + 400 * (i % 2)), 8000)
        words.append(f"{i}.wav,{kind}")
        clips.append(f"{i}.wav,number {i} is {kind},speaker {i % 9}")
    for name, lines in {"reviews": reviews, "words": words, "clips": clips}.items():
        Path(f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    Path("answers.jsonl").write_text("\n".join(answers), encoding="utf-8")
    return tmp_path


def needs(model: str) -> None:
    try:
        fetch(model)
    except FetchFailed as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", WHOLE)
def test_every_whole_study_can_be_planned(name: str) -> None:
    """Model, data, space and some steps of training, for real."""
    if "model" in WHOLE[name]["task"]:
        needs(WHOLE[name]["task"]["model"])
    told = plan(Session(described(WHOLE[name]), allow_code=True))
    assert told.space.groups
    assert told.seconds > 0


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_the_search_in_python_runs() -> None:
    """Made small: one trial of four steps, in this process."""
    needs("mobilenet_v2")
    small = 'budget={"trials": 1, "uniform_rank": 1}, training={"steps": 4, "evaluations": 2}, '
    small += 'baselines={"learning_rates": 1}, confirm={"seeds": 1}, backend={"name": "inline"}'
    page = PAGE.replace('budget={"trials": 20, "uniform_rank": 2}', small)
    assert page != PAGE
    examples = doctest.DocTestParser().get_doctest(page, {}, "tasks.md", "tasks.md", 0)
    runner = doctest.DocTestRunner()
    assert runner.run(examples) == (0, len(examples.examples))
    assert len(examples.examples) == 5
    assert Path("adapter", "adapter_config.json").is_file()
