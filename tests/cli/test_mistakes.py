"""Bad input: one clear sentence, an exit code, nothing written."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Place = Any  # of conftest.py
Mount = Callable[[str], Path]
GROUP = {"name": "dw", "kinds": ["depthwise"]}
SPACE = {
    "ranks": [0, 1],
    "groups": [GROUP],
    "training": {"learning_rate": {"low": 0.001, "high": 0.03}},
}


def test_unknown_study(finished: Place) -> None:
    said = finished.refused(2, "best", "digitz")
    assert 'no study called "digitz"' in said
    assert "nearest: digits" in said


def test_no_database(place: Place) -> None:
    said = place.refused(3, "trials", "digits")
    assert "runs/digits/study.db holds no study" in said
    assert "autolora search" in said


def test_no_such_file(place: Place) -> None:
    assert "digits" in place.refused(2, "search", "digit")


def test_malformed_yaml(place: Place) -> None:
    (place.folder / "mine.yaml").write_text("name: tiny\ntask: {type: image\nseed: 0\n")
    assert "mine.yaml cannot be read as YAML: line 3" in place.refused(2, "search", "mine.yaml")


def test_misspelt_key(place: Place) -> None:
    file = place.study(bugdet={"trials": 1})
    said = place.refused(2, "search", str(file))
    assert "digits.yaml, line " in said
    assert 'unknown key "bugdet"; did you mean "budget"?' in said


def test_misspelt_key_of_the_task(place: Place) -> None:
    place.study(task={"type": "image", "model": "mobilenet_v2", "data": "digits", "image_sise": 3})
    assert 'unknown key "image_sise"; did you mean "image_size"?' in place.refused(
        2, "search", "digits"
    )


def test_rank_above_the_layers(place: Place) -> None:
    place.study(space={**SPACE, "ranks": [0, 1, 2, 4, 8, 16]})
    said = place.refused(2, "search", "digits")
    assert "rank 16 at features.0" in said or "rank 16 at features.1" in said
    assert "ranks here are 0 to 9" in said


def test_a_budget_that_no_allocation_meets(place: Place) -> None:
    place.study(space={**SPACE, "ranks": [1]}, budget={"trials": 1, "parameters": 10})
    said = place.refused(2, "search", "digits")
    assert "keeps the budget of 10 adapter parameters" in said


def test_a_sampler_that_cannot(place: Place) -> None:
    scale = [{"value": 1.0}, {"value": 2.0}]
    training = {**SPACE["training"], "scale": scale}
    place.study(space={**SPACE, "training": training}, sampler={"name": "cmaes"})
    assert "the sampler cmaes cannot search this space" in place.refused(2, "search", "digits")


def test_another_study_of_the_same_name(finished: Place, place: Place) -> None:
    place.study(seed=7)
    said = place.refused(2, "search", "digits", AUTOLORA_STORAGE=finished.storage)
    assert 'called "digits" is stored with seed = 0, this one has 7' in said


def test_database_that_is_not_ours(place: Place) -> None:
    place.study()
    file = place.folder / "theirs.db"
    with sqlite3.connect(file) as theirs:
        theirs.execute("create table customers (name text)")
    theirs.close()
    before = file.read_bytes()
    said = place.refused(3, "search", "digits", "--storage", f"sqlite:///{file}")
    assert "belongs to another program (tables customers)" in said
    assert file.read_bytes() == before


def test_file_that_is_no_database(place: Place) -> None:
    place.study()
    file = place.folder / "notes.txt"
    file.write_text("not a database at all")
    said = place.refused(3, "search", "digits", "--storage", f"sqlite:///{file}")
    assert "is no SQLite database" in said
    assert file.read_text() == "not a database at all"


def test_read_only_folder(place: Place, mounted: Mount) -> None:
    place.study()
    folder = mounted("ro")
    said = place.refused(3, "search", "digits", "--storage", f"sqlite:///{folder}/study.db")
    assert "read-only" in said


def test_read_only_folder_for_results(finished: Place, mounted: Mount) -> None:
    folder = mounted("ro")
    for words in (
        ["export", "digits", "--to", f"{folder}/adapter"],
        ["report", "digits", "--output", f"{folder}/report.html"],
    ):
        assert str(folder) in finished.refused(3, *words)


def test_full_disk(place: Place, mounted: Mount) -> None:
    place.study()
    folder = mounted("size=64k")
    said = place.refused(3, "search", "digits", "--storage", f"sqlite:///{folder}/study.db")
    assert "full" in said
    assert not [f for f in folder.iterdir() if f.suffix != ".lock"]


def test_full_disk_for_results(finished: Place, mounted: Mount) -> None:
    folder = mounted("size=16k")
    for words in (
        ["export", "digits", "--to", f"{folder}/adapter"],
        ["report", "digits", "--output", f"{folder}/report.html"],
        ["apply", "runs/digits/adapter", "--model", "mobilenet_v2", "--to", f"{folder}/m.st"],
    ):
        said = finished.refused(3, *words)
        assert "No space left" in said or "full" in said
    assert not list(folder.iterdir())


OTHER = """
import torch, torchvision
def model():
    torch.manual_seed(0)
    return torchvision.models.mobilenet_v2(weights=None, num_classes=10)
"""


def test_adapter_of_another_base(finished: Place, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(OTHER)
    words = ["apply", "runs/digits/adapter", "--model", "other:model", "--to", "other.safetensors"]
    python = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    assert "allow it with --allow-code" in finished.refused(2, *words, **python)
    said = finished.refused(2, *words, "--allow-code", **python)
    assert "not the base of the adapter" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["targets", "mobilenet_v3"], 'no model called "mobilenet_v3"'),
        (["targets", "mobilenet_v2", "--kind", "linea"], "no kind called"),
        (["targets", "mobilenet_v2", "--match", "re:["], "regular expression"),
        (["best", "digits", "--storage", "mysql://u:secret@h/d"], "mysql are not supported"),
        (["export", "digits", "--to", "x", "--arm", "nobody"], "nobody"),
        (["export", "digits", "--to", "x", "--format", "onnx"], "onnx"),
    ],
)
def test_more_words_that_cannot_be(finished: Place, words: list[str], sentence: str) -> None:
    said = finished.refused(2, *words)
    assert sentence in said
    assert "secret" not in said
