"""What a model hears, against those who made the models, and how it is kept."""

import numpy as np
import pytest
import soundfile
import torch

from autolora.data.sound import features
from autolora.data.sound.clips import prepare
from autolora.data.sound.files import samples
from autolora.data.table import Table
from autolora.errors import SoundTooLong

RATE = 16_000


def noise(seconds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(round(seconds * RATE), generator=generator)


def whole(frames, window):
    return torch.cat([frames, frames[-1:].expand(window - len(frames), -1)])


@pytest.mark.parametrize("seconds", [0.03, 1.234, 2.0])
def test_whispers_hearing_is_that_of_transformers(seconds):
    from transformers import WhisperFeatureExtractor

    sound = noise(seconds)
    extract = WhisperFeatureExtractor(chunk_length=2)
    wanted = extract(sound.numpy(), sampling_rate=RATE, return_tensors="np").input_features[0].T
    heard = features.whisper(2)
    np.testing.assert_allclose(whole(heard.compute(sound), 200), wanted, atol=1e-4)


def test_a_silent_recording_is_heard():
    for heard in (features.whisper(2), features.resemblyzer(), features.normal_waveform()):
        assert heard.compute(torch.zeros(RATE)).isfinite().all()


def test_resemblyzers_hearing_raises_quiet_recordings_only():
    heard = features.resemblyzer()
    quiet, loud = 0.01 * noise(0.5), 5 * noise(0.5)
    torch.testing.assert_close(heard.compute(quiet), heard.compute(0.1 * quiet))
    torch.testing.assert_close(heard.compute(2 * loud), 4 * heard.compute(loud))
    assert heard.compute(loud).shape == (51, 40)


def test_a_pitch_is_heard_in_its_band():
    """The bands of 40 from 0 to 8 kHz: 200 Hz per 3 mel up to 1 kHz."""
    time = torch.arange(RATE) / RATE
    loudest = [
        features.feature("mel").compute(torch.sin(2 * torch.pi * pitch * time)).mean(0).argmax()
        for pitch in (200, 500, 1000, 4000)
    ]
    assert loudest == sorted(loudest)
    assert len(set(loudest)) == 4


@pytest.mark.parametrize("kind", features.KINDS)
def test_every_kind_has_frames_of_bands(kind):
    heard = features.feature(kind, bands=20).compute(noise(0.5))
    assert heard.shape == ((8000, 1) if kind == "waveform" else (51, 20))
    assert heard.isfinite().all()


@pytest.fixture
def table(tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for number, path in enumerate(paths):
        soundfile.write(path, noise(0.3 * (number + 1), number).numpy(), RATE, subtype="FLOAT")
    return Table({"audio": paths}, "table.csv")


def prepared(table, feature, **options):
    given = {"seconds": None, "too_long": "refuse", "key": "k", **options}
    return prepare(table, feature, **given)


def test_recordings_are_heard_once(table, monkeypatch):
    heard = features.feature("log_mel")
    first = prepared(table, heard)
    monkeypatch.setattr("autolora.data.sound.clips.samples", None)
    again = prepared(table, heard)
    assert torch.equal(first.frames, again.frames)
    assert torch.equal(first.lengths, again.lengths)
    assert again.lengths.tolist() == [31, 61, 91]
    with pytest.raises(TypeError):
        prepared(table, heard, key="other data")
    with pytest.raises(TypeError):
        prepared(table, features.feature("mfcc"))


def test_recordings_side_by_side_end_in_zeros(table):
    heard = features.feature("log_mel")
    clips = prepared(table, heard)
    side = clips.padded(torch.tensor([2, 0]))
    assert side.shape == (2, 91, 40)
    alone = heard.compute(samples(table.columns["audio"][0], RATE))
    assert torch.equal(side[1, :31], alone)
    assert not side[1, 31:].any()


def test_recordings_in_a_window_are_heard_as_whole(table):
    clips = prepared(table, features.whisper(2))
    side = clips.padded(torch.tensor([1]))
    alone = features.whisper(2).compute(samples(table.columns["audio"][1], RATE))
    assert side.shape == (1, 200, 80)
    assert torch.equal(side[0], whole(alone, 200))
    assert clips.lengths.max() < 100


def test_recordings_that_are_too_long(table):
    heard = features.feature("mel")
    with pytest.raises(
        SoundTooLong, match=r"1\.wav \(row 2 of table\.csv\) lasts 0\.60 s.* 0\.5 s"
    ):
        prepared(table, heard, seconds=0.5)
    cut = prepared(table, heard, seconds=0.5, too_long="cut")
    assert cut.lengths.tolist() == [31, 51, 51]
    dropped = prepared(table, heard, seconds=0.7, too_long="drop")
    assert dropped.kept.tolist() == [0, 1]
    assert not len(prepared(table, heard, seconds=0.1, too_long="drop").kept)
