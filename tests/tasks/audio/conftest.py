"""Recordings made here: tones of a pitch each, with a little noise."""

import csv

import numpy as np
import pytest
import soundfile

from autolora.data.assets import cache_folder, fetch
from autolora.errors import FetchFailed

RATE = 8000
WORDS = {200: "low", 500: "mid", 1200: "high"}


def tone(pitch, seconds, seed=0, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time))
    return 0.3 * np.sin(2 * np.pi * pitch * time) + noise


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Prepared recordings go into a folder of the test; models come from the usual one."""
    models = cache_folder() / "assets"
    folder = tmp_path_factory.mktemp("cache")
    models.mkdir(parents=True, exist_ok=True)
    (folder / "assets").symlink_to(models, target_is_directory=True)
    monkeypatch.setenv("AUTOLORA_CACHE", str(folder))


@pytest.fixture
def voices():
    """Skips where Resemblyzer's weights cannot be had."""
    try:
        fetch("resemblyzer")
    except FetchFailed as error:
        pytest.skip(str(error))


@pytest.fixture
def manifest(tmp_path):
    """Writes a table of recordings: (pitch, seconds) a row, with label, transcript and group."""

    def write(rows, name="table.csv"):
        path = tmp_path / name
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["audio", "label", "transcript", "group"])
            for number, (pitch, seconds) in enumerate(rows):
                wav = tmp_path / f"{path.stem}-{number}.wav"
                soundfile.write(wav, tone(pitch, seconds, seed=number), RATE)
                table.writerow(
                    [wav.name, WORDS[pitch], WORDS[pitch], f"speaker {6 * number // len(rows)}"]
                )
        return path

    return write


@pytest.fixture
def table(manifest):
    """Thirty recordings of six speakers, 0.2 to 0.49 s long."""
    pitches = list(WORDS)
    return manifest([(pitches[n % 3], 0.2 + 0.01 * n) for n in range(30)])
