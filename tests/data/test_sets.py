"""The data sets of ours hold what their pages say; a set whose files cannot be had is skipped."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from autolora.data import sets
from autolora.data.table import Table
from autolora.errors import FetchFailed
from autolora.registry import load, names

MIRROR = Path(__file__).parents[3] / "shared" / "data"

COUNTS = {
    "cola": {"train": 7235, "valid": 1296, "test": 1043},
    "digits": {"train": 5000},
    "fortunes": {"train": 5438},
    "rte": {"train": 2127, "valid": 363, "test": 277},
    "spoken_digits": {"train": 3000},
    "sst2": {"train": 66009, "valid": 1340, "test": 872},
    "wordnet": {"train": 95882},
}
LARGE = {"spanish": {"train": 1057}, "tuxpaint": {"train": 337}}
CLASSES = {
    "cola": 2,
    "digits": 10,
    "fortunes": 10,
    "rte": 2,
    "spoken_digits": 10,
    "sst2": 2,
    "tuxpaint": 6,
    "wordnet": 41,
}


@pytest.fixture
def opened(monkeypatch):
    """The tables of a set by split; a table alone is called train."""
    if MIRROR.is_dir():
        monkeypatch.setenv("AUTOLORA_ASSETS", str(MIRROR))

    def make(name: str) -> Mapping[str, Table]:
        try:
            found = load(sets, name).tables()
        except FetchFailed as error:
            pytest.skip(str(error))
        return {"train": found} if isinstance(found, Table) else found

    return make


def test_every_set_has_counts_here():
    assert names(sets) == tuple(sorted(COUNTS | LARGE))
    assert all(load(sets, name).ABOUT for name in names(sets))


@pytest.mark.parametrize(
    ("name", "counts"),
    [*COUNTS.items(), *(pytest.param(*large, marks=pytest.mark.slow) for large in LARGE.items())],
)
def test_counts(opened, name, counts):
    found = opened(name)
    assert {split: len(table) for split, table in found.items()} == counts
    for table in found.values():
        assert {len(values) for values in table.columns.values()} == {len(table)}
        if name in CLASSES:
            assert len(set(table.columns["label"])) == CLASSES[name]
        for role in {"text", "text_pair", "label", "group", "transcript"} & set(table.columns):
            assert all(isinstance(v, str) and v.strip() for v in table.columns[role]), role


@pytest.mark.parametrize("name", ["cola", "rte", "sst2"])
def test_no_example_is_in_two_splits(opened, name):
    columns = [table.columns for table in opened(name).values()]
    texts = [set(zip(c["text"], c.get("text_pair", c["text"]), strict=True)) for c in columns]
    assert len(set.union(*texts)) == sum(map(len, texts))


def test_digits_are_images(opened):
    columns = opened("digits")["train"].columns
    assert {image.shape for image in columns["image"]} == {(28, 28)}
    assert {image.dtype for image in columns["image"]} == {np.dtype(np.uint8)}
    assert Counter(columns["label"]) == {str(digit): 500 for digit in range(10)}


def test_glosses_have_the_kinds_of_their_words(opened):
    columns = opened("wordnet")["train"].columns
    counts = Counter(columns["label"])
    assert (counts["noun.artifact"], counts["noun.motive"]) == (11587, 42)
    kinds = dict(zip(columns["text"], columns["label"], strict=True))
    tiger = next(text for text in kinds if text.startswith("large feline of forests"))
    rain = next(text for text in kinds if text.startswith("precipitate as rain"))
    assert (kinds[tiger], kinds[rain]) == ("noun.animal", "verb.weather")


def test_spoken_digits_name_figure_and_speaker(opened):
    columns = opened("spoken_digits")["train"].columns
    assert set(Counter(columns["group"]).values()) == {500}
    rows = zip(columns["audio"], columns["label"], columns["group"], strict=True)
    for file, label, group in rows:
        assert file.is_absolute()
        assert file.is_file()
        assert file.name.startswith(f"{label}_{group}_")


def test_fortunes_are_short_and_distinct(opened):
    texts = opened("fortunes")["train"].columns["text"]
    assert len(set(texts)) == len(texts)
    assert (min(map(len, texts)), max(map(len, texts))) == (30, 600)
    assert not any(line.strip() == "%" for text in texts for line in text.splitlines())


@pytest.mark.slow
def test_tuxpaint_is_cut_out_on_white(opened):
    images = opened("tuxpaint")["train"].columns["image"]
    assert {image.shape for image in images} == {(224, 224, 3)}
    corners = np.stack([image[[0, 0, -1, -1], [0, -1, 0, -1]] for image in images])
    assert (corners == 255).mean() > 0.9
    assert all(image.std() > 5 for image in images)


@pytest.mark.slow
def test_spanish_clips_are_short_and_distinct(opened):
    import soundfile

    columns = opened("spanish")["train"].columns
    seconds = [soundfile.info(file).duration for file in columns["audio"]]
    assert min(seconds) > 0.3
    assert max(seconds) < 4
    assert len({file.read_bytes() for file in columns["audio"]}) == len(seconds)
    said = dict(zip((f.name for f in columns["audio"]), columns["transcript"], strict=True))
    assert said["badger_desc_es.ogg"] == "Un tejón."
    assert said["agent-loginok.wav"] == "Agente conectado"
    assert not any(set("[(") & set(text) for name, text in said.items() if name.endswith(".wav"))
    assert len(set(columns["group"])) < len(set(columns["transcript"]))
