"""A first study file: it validates, says what was found, and replaces nothing unasked."""

import json
import os
import pty
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image
from torch import nn
from torchvision import models
from typer.testing import CliRunner

from autolora import tasks
from autolora.cli import app, planning, starting
from autolora.registry import load
from autolora.study import template_look
from autolora.study.description import described, read_study
from autolora.study.schema_json import study_schema
from autolora.study.template import Wishes, template
from autolora.study.template_kinds import KINDS

Place = Any  # of conftest.py
REGISTERED = (planning, starting)  # importing them registers their commands
pytestmark = pytest.mark.filterwarnings("default")
IMAGE = ["--modality", "image", "--model", "mobilenet_v2"]


def small_vgg() -> nn.Module:
    """A network without pointwise convolutions, which no space of ours is for."""
    return models.vgg11(weights=None, num_classes=2)


def folder_of_classes(place: Place) -> None:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (place.folder / "pets" / name).mkdir(parents=True)
        for i in range(20):
            pixels = generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place.folder / "pets" / name / f"{i}.png")


def reviews(place: Place, header: str = "Review,grade") -> None:
    rows = [f"this is text number {i},{'good' if i % 2 else 'bad'}" for i in range(40)]
    (place.folder / "reviews.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture(autouse=True)
def _there(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in this process, for speed; a command decides what SIGTERM does."""
    monkeypatch.chdir(place.folder)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def written(place: Place, *words: str) -> dict[str, Any]:
    said = CliRunner().invoke(app, ["init", *words, "--json"])
    assert said.exit_code == 0, said.output
    file = place.folder / json.loads(said.stdout)["file"]
    read_study(file)
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    jsonschema.validate(found, study_schema())
    return found


def refused(place: Place, *words: str) -> str:
    before = place.files()
    said = CliRunner().invoke(app, ["init", *words])
    assert said.exit_code == 2, said.output
    assert place.files() == before
    assert said.stderr.count("\n") == 1
    return said.stderr


@pytest.mark.usefixtures("weights_file")
def test_images(place: Place) -> None:
    folder_of_classes(place)
    study = written(place, *IMAGE, "--data", "pets")
    assert study["name"] == "pets"
    assert study["space"] == "cnn-dense"
    assert study["strategy"] == "nest"
    assert study["budget"] == {"ft": 2.0, "uniform_rank": 2}
    assert study["baselines"] == {"uniform_ranks": [2], "learning_rates": 3}
    assert study["task"]["data"]["splits"] == {"valid": 0.15, "test": 0.15, "seed": 0}
    text = (place.folder / "pets.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=file:///")
    assert "autolora plan pets.yaml" in text
    again = refused(place, *IMAGE, "--data", "pets")
    assert "pets.yaml is there already" in again
    assert "--force" in again
    changed = written(place, *IMAGE, "--data", "pets", "--trials", "7", "--force")
    assert changed["budget"] == {"trials": 7, "uniform_rank": 2}
    assert changed["strategy"] == "optuna"


def test_texts(place: Place) -> None:
    """A column is known by what people call it."""
    reviews(place)
    study = written(place, "--modality", "text", "--model", "minilm", "--data", "reviews.csv")
    assert study["task"]["data"]["columns"] == {"text": "Review", "label": "grade"}
    assert study["space"] == "text-encoder"


def test_sounds(place: Place) -> None:
    rows = ["file,class,speaker"]
    for i in range(24):
        noise = np.random.default_rng(i).normal(0, 0.1, 8000)
        soundfile.write(place.folder / f"{i}.wav", noise, 16_000)
        rows.append(f"{i}.wav,{'yes' if i % 2 else 'no'},{i // 2}")
    (place.folder / "sounds.csv").write_text("\n".join(rows) + "\n")
    words = ["--modality", "audio", "--model", "resemblyzer", "--data", "sounds.csv"]
    study = written(place, *words, "--column", "group=speaker", "--output", "a/b.yaml")
    assert study["space"] == "speech-rnn"
    columns = study["task"]["data"]["columns"]
    assert columns == {"group": "speaker", "audio": "file", "label": "class"}
    assert (place.folder / "a" / "b.yaml").exists()


def test_a_model_that_cannot_be_had_now(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the form is checked alone, and it says so."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    reviews(place, "text,label")
    words = ["--modality", "text", "--model", "nobody/nothing", "--data", "reviews.csv"]
    said = CliRunner().invoke(app, ["init", *words])
    assert said.exit_code == 0, said.output
    assert "only the form was checked" in said.stdout
    assert read_study(place.folder / "reviews.yaml").space.name == "text-encoder"


def test_a_model_that_no_space_is_for_gets_one_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of_classes(place)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    options = {
        "model": "test_init:small_vgg",
        "objective": "classification",
        "data": {"path": "pets"},
    }
    found = template_look.space("image", options, allow_code=True)
    assert isinstance(found, dict)
    assert found["groups"][0]["kinds"] == ["conv", "linear"]
    read = described(yaml.safe_load(drafted("image", "classification", space=found)))
    assert read.space.groups[0].per == "kind"


def drafted(modality: str, objective: str, **changes: Any) -> str:
    wishes: dict[str, Any] = {
        "name": "a",
        "modality": modality,
        "model": KINDS[modality].model,
        "data": "it's: data",
        "objective": objective,
        "columns": {"label": "yes"},
        "made": ("test",),
        "space": "cnn",
        "steps": 100,
        "trials": 3,
        "budget_rank": 4,
        "schema": "s",
        "file": "a.yaml",
    }
    return template(Wishes(**{**wishes, **changes}))


@pytest.mark.parametrize(
    ("modality", "objective"),
    [(modality, objective) for modality, kind in KINDS.items() for objective in kind.roles],
)
@pytest.mark.parametrize("trials", [None, 3])
def test_every_objective_is_one_of_its_task(
    modality: str, objective: str, trials: int | None
) -> None:
    study = described(yaml.safe_load(drafted(modality, objective, trials=trials)))
    options = load(tasks, modality).OPTIONS
    given = {key: value for key, value in study.task.items() if key != "type"}
    assert options.model_validate(given).data.path == "it's: data"
    assert set(KINDS[modality].roles) == set(get_args(options.model_fields["objective"].annotation))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--modality is missing"),
        (["--modality", "smell"], 'no modality called "smell"; there are text, image, audio'),
        (["--modality", "text"], "--model is missing"),
        (["--modality", "text", "--model", "minilm"], "--data is missing: where the examples"),
        ([*IMAGE, "--data", "nowhere"], "nowhere"),
        ([*IMAGE, "--data", "digits", "--objective", "ctc"], 'no objective called "ctc"'),
        ([*IMAGE, "--data", "digits", "--column", "x"], "a role and its column, as in label=grade"),
        ([*IMAGE, "--data", "digits", "--column", "label=grad"], "grad"),
        ([*IMAGE, "--data", "digits", "--name", "a b"], "a b"),
        (
            ["--modality", "text", "--model", "minilm", "--data", "reviews.csv"],
            "--column text=COLUMN is missing: the column of the role text; there are q, grade",
        ),
    ],
)
def test_what_cannot_be(place: Place, words: list[str], sentence: str) -> None:
    reviews(place, "q,grade")
    assert sentence in refused(place, *words)


@pytest.mark.slow
def test_it_asks_on_a_terminal(place: Place) -> None:
    reviews(place)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(place.folder)
        command = str(Path(sys.executable).with_name("autolora"))
        os.execve(command, ["autolora", "init", "--name", "asked"], place.environment)
    for question, answer in (
        (b"examples are", b"text\n"),
        (b"what is adapted", b"\n"),
        (b"where the examples are", b"reviews.csv\n"),
        (b"what is learnt", b"\n"),
        (b"the role text", b"\n"),
        (b"the role label", b"\n"),
        (b"asked.yaml", b""),
    ):
        said = b""
        while question not in said:
            assert select.select([terminal], [], [], 60)[0], said
            said += os.read(terminal, 1024)
        os.write(terminal, answer)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    task = yaml.safe_load((place.folder / "asked.yaml").read_text())["task"]
    assert task["model"] == "minilm"
    assert task["data"]["columns"] == {"text": "Review", "label": "grade"}
