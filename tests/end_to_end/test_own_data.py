"""From a user's own files to an exported adapter, by the command line alone."""

import csv
import math
import os
import subprocess
import sys
import wave
from array import array
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autolora.data.assets import fetch
from autolora.errors import FetchFailed

pytestmark = pytest.mark.slow


def texts(folder: Path) -> list[str]:
    good, bad = ("lovely", "great", "fine", "happy"), ("awful", "sad", "poor", "grim")
    things = "film book song day walk meal trip game plan talk".split()
    rows = [
        (f"the {thing} of {name} was {word}", label)
        for name in ("anna", "bert", "cleo", "dänä")
        for number, thing in enumerate(things)
        for word, label in ((good[number % 4], "good"), (bad[number % 4], "bad"))
    ]
    with (folder / "own.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("sentence", "grade"), *rows])
    columns = ["--column", "text=sentence", "--column", "label=grade"]
    return ["--modality", "text", "--model", "minilm", "--data", "own.csv", *columns]


def images(folder: Path) -> list[str]:
    generator = np.random.default_rng(0)
    for number in range(60):
        kind = ("bright", "dark")[number % 2]
        (folder / "own" / kind).mkdir(parents=True, exist_ok=True)
        low, high = ((120, 256), (0, 140))[number % 2]
        pixels = generator.integers(low, high, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "own" / kind / f"{number}.png")
    return ["--modality", "image", "--model", "mobilenet_v2", "--data", "own"]


def sounds(folder: Path) -> list[str]:
    rows = [("file", "word")]
    for number in range(60):
        tone = (200, 800)[number % 2] + 3 * number
        samples = array(
            "h", (int(9000 * math.sin(2 * math.pi * tone * i / 8000)) for i in range(6000))
        )
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(samples.tobytes())
        rows.append((f"{number}.wav", ("low", "high")[number % 2]))
    with (folder / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    columns = ["--column", "audio=file", "--column", "label=word"]
    return ["--modality", "audio", "--model", "resemblyzer", "--data", "own.csv", *columns]


@pytest.mark.parametrize("made", [texts, images, sounds])
def test_from_nothing_to_an_adapter(made, tmp_path):
    words = made(tmp_path)
    model = words[words.index("--model") + 1]
    try:
        fetch(model)
    except FetchFailed as error:
        pytest.skip(str(error))
    run(tmp_path, "init", *words, "--name", "own")
    assert "nest" in run(tmp_path, "plan", "own.yaml", "--json")
    run(tmp_path, "search", "own.yaml", "--smoke")
    run(tmp_path, "export", "own-smoke", "--to", "found")
    assert (tmp_path / "runs" / "own-smoke" / "report.html").is_file()
    assert any((tmp_path / "found").glob("*.safetensors"))
    assert "uniform 2" in run(tmp_path, "leaderboard", "own-smoke")


def run(folder: Path, *words: str) -> str:
    command = [str(Path(sys.executable).with_name("autolora")), *words]
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{' '.join(words)}: {ended.stderr}"
    return ended.stdout
