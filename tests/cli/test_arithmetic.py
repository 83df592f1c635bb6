"""Commands that make adapters from adapters: what they write, say, and refuse."""

import json
import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner

from autolora.artifacts.source import opened
from autolora.cli import adapters, app, arithmetic

Place = Any  # of conftest.py
Mount = Callable[[str], Path]
ADAPTER = "runs/digits/adapter"
REGISTERED = (adapters, arithmetic)  # importing them registers their commands


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """A command decides what SIGTERM does; here that is the test's process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def told(place: Place, *words: str) -> Any:
    ran = place(*words, "--json")
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return json.loads(ran.stdout)


def refused(place: Place, code: int, *words: str, **variables: str) -> str:
    """The sentence of a command that ends with this code and leaves no file behind."""
    before = place.files()
    ran = place(*words, **variables)
    assert ran.returncode == code, (ran.returncode, ran.stderr)
    assert ran.stderr.startswith("autolora: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert not ran.stdout
    assert place.files() == before
    return str(ran.stderr)


def dense(folder: Path) -> dict[str, Tensor]:
    adapter = opened(folder)
    return {
        name: adapter.scales[name] * (up.double() @ down.double())
        for name, (up, down) in adapter.factors.items()
    }


def test_resize(finished: Place, tmp_path: Path) -> None:
    before = dense(finished.folder / ADAPTER)
    said = told(finished, "resize", ADAPTER, "--rank", "1", "--to", str(tmp_path / "a"))
    after = dense(tmp_path / "a")
    off = sum(float((d - after[n]).norm() ** 2) for n, d in before.items() if n in after)
    gone = sum(float(d.norm() ** 2) for n, d in before.items() if n not in after)
    total = sum(float(d.norm() ** 2) for d in before.values())
    assert said["error"] == pytest.approx(math.sqrt((off + gone) / total), abs=1e-6)
    assert set(said["errors"]) == set(before)
    assert said["allocation"] == dict(opened(tmp_path / "a").allocation)
    assert said["parameters"] == opened(tmp_path / "a").parameters
    ran = finished("resize", ADAPTER, "--energy", "0.5", "--to", str(tmp_path / "b"))
    assert "error" in ran.stdout
    assert "rank" in ran.stdout


def test_stack(finished: Place, tmp_path: Path) -> None:
    said = told(finished, "resize", ADAPTER, "--rank", "1", "--to", str(tmp_path / "a=b"))
    assert (tmp_path / "a=b" / "adapter.json").exists()
    told(finished, "stack", f"{ADAPTER}=2", str(tmp_path / "a=b"), "--to", str(tmp_path / "c"))
    first, second, made = (
        dense(finished.folder / ADAPTER),
        dense(tmp_path / "a=b"),
        dense(tmp_path / "c"),
    )
    assert set(second) == set(said["allocation"])
    for name, delta in made.items():
        wanted = 2 * first[name] + second.get(name, 0)
        torch.testing.assert_close(delta, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_merge_is_apply(finished: Place, tmp_path: Path) -> None:
    told(finished, "merge", ADAPTER, "--model", "mobilenet_v2", "--to", str(tmp_path / "a"))
    told(finished, "apply", ADAPTER, "--model", "mobilenet_v2", "--to", str(tmp_path / "b"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.slow
def test_what_was_merged_is_extracted_again(finished: Place, tmp_path: Path) -> None:
    whole, again = tmp_path / "whole.safetensors", tmp_path / "again.safetensors"
    told(finished, "merge", ADAPTER, "--model", "mobilenet_v2", "--to", str(whole))
    words = ["extract", "mobilenet_v2", str(whole), "--head", "classifier.1", "--rank", "2"]
    said = told(finished, *words, "--to", str(tmp_path / "a"))
    assert set(said["in full"]) == {"classifier.1.weight", "classifier.1.bias"}
    assert said["allocation"].keys() == dense(finished.folder / ADAPTER).keys()
    assert said["left out"] == []
    assert said["error"] < 1e-3  # rounding of the merged weights alone is beyond rank 2
    told(finished, "merge", str(tmp_path / "a"), "--model", "mobilenet_v2", "--to", str(again))
    for name, value in load_file(whole).items():
        torch.testing.assert_close(load_file(again)[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["resize", ADAPTER], "exactly one of rank, parameters and energy"),
        (["resize", ADAPTER, "--rank", "1", "--energy", "1"], "here is rank 1 and energy 1.0"),
        (["resize", ADAPTER, "--energy", "1.5"], "energy 1.5 cannot be"),
        (["resize", ADAPTER, "--parameters", "3"], "3 parameters hold no rank at all"),
        (["resize", "nowhere", "--rank", "1"], "nowhere holds no adapter"),
        (["resize", ADAPTER, "--rank", "1", "--model", "nobody"], 'no model called "nobody"'),
        (["stack", f"{ADAPTER}=x"], f"the weight of {ADAPTER} 'x' cannot be"),
        (["stack", f"{ADAPTER}=nan"], "the weight nan cannot be"),
        (["stack", f"{ADAPTER}=0"], "no adapter of a weight other than 0"),
        (["stack", "nowhere=1"], "nowhere holds no adapter"),
        (["extract", "mobilenet_v2", "none.safetensors"], "exactly one of rank"),
        (["extract", "mobilenet_v2", "none.st", "--rank", "1"], "none.st cannot be read"),
        (["extract", "os:getcwd", "none.st", "--rank", "1"], "--allow-code"),
        (["merge", "nowhere", "--model", "mobilenet_v2"], "nowhere holds no adapter"),
    ],
)
def test_words_that_cannot_be(
    finished: Place, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    """In this process, for speed."""
    monkeypatch.chdir(finished.folder)
    before = finished.files()
    said = CliRunner().invoke(app, [*words, "--to", "out"])
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith("autolora: ")
    assert said.stderr.count("\n") == 1
    assert sentence in said.stderr
    assert finished.files() == before


@pytest.mark.slow
def test_a_folder_of_peft_needs_its_base(finished: Place, tmp_path: Path) -> None:
    peft = tmp_path / "peft"
    made = finished("export", "digits", "--to", str(peft), "--format", "peft")
    assert made.returncode == 0
    said = refused(finished, 2, "resize", str(peft), "--rank", "1", "--to", "out")
    assert "in the format peft, which cannot be read without its base" in said
    words = ["--rank", "1", "--model", "mobilenet_v2", "--to", str(tmp_path / "a")]
    with_base = told(finished, "resize", str(peft), *words)
    words = ["--rank", "1", "--to", str(tmp_path / "b")]
    assert told(finished, "resize", ADAPTER, *words)["allocation"] == with_base["allocation"]


def test_nothing_is_left_of_a_command_that_fails(finished: Place, mounted: Mount) -> None:
    folder = mounted("size=16k")
    for words in (
        ["resize", ADAPTER, "--rank", "2", "--to", f"{folder}/a"],
        ["stack", ADAPTER, ADAPTER, "--to", f"{folder}/a"],
        ["merge", ADAPTER, "--model", "mobilenet_v2", "--to", f"{folder}/m.st"],
    ):
        said = refused(finished, 3, *words)
        assert "No space left" in said or "full" in said
        assert not list(folder.iterdir())


def test_a_folder_that_holds_something_else_is_kept(finished: Place, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    said = refused(finished, 2, "resize", ADAPTER, "--rank", "1", "--to", str(tmp_path))
    assert "holds something else" in said
    assert (tmp_path / "notes.txt").read_text() == "mine"
