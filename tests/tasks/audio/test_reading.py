"""Files of every kind become the same samples, and bad ones one clear sentence."""

import sys

import numpy as np
import pytest
import soundfile
import torch

from autolora.data.sound.files import samples
from autolora.errors import MissingExtra, SoundNotFinite, SoundTooShort, UnreadableSound

RATE = 8000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


@pytest.mark.parametrize(
    ("name", "subtype", "within"),
    [
        ("a.wav", "PCM_U8", 2**-6),
        ("a.wav", "PCM_16", 2**-14),
        ("a.wav", "PCM_24", 2**-22),
        ("a.wav", "PCM_32", 1e-6),
        ("a.wav", "FLOAT", 1e-6),
        ("a.wav", "DOUBLE", 1e-6),
        ("a.wav", "ULAW", 0.03),
        ("a.flac", "PCM_16", 2**-14),
        ("a.ogg", "VORBIS", 0.05),
    ],
)
def test_every_kind_of_file_holds_the_same_sound(tmp_path, name, subtype, within):
    soundfile.write(tmp_path / name, TONE, RATE, subtype=subtype)
    read = samples(tmp_path / name, RATE)
    assert read.dtype == torch.float32
    assert np.abs(read.numpy() - TONE).max() < within


def test_the_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([TONE, 0 * TONE], 1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(samples(tmp_path / "a.wav", RATE), TONE / 2, atol=1e-6)


def test_another_rate_is_resampled(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, RATE, subtype="FLOAT")
    read = samples(tmp_path / "a.wav", 2 * RATE).numpy()
    assert len(read) == 2 * len(TONE)
    middle = slice(100, -100)
    np.testing.assert_allclose(read[::2][middle], TONE[middle], atol=0.01)


def test_a_file_that_is_no_sound(tmp_path):
    (tmp_path / "a.wav").write_text("not a sound")
    (tmp_path / "b.wav").touch()
    with pytest.raises(UnreadableSound, match=r"a\.wav cannot be read as sound: .+; give a WAV"):
        samples(tmp_path / "a.wav", RATE)
    with pytest.raises(UnreadableSound, match="the file is empty"):
        samples(tmp_path / "b.wav", RATE)
    with pytest.raises(UnreadableSound, match="there is no such file"):
        samples(tmp_path / "c.wav", RATE)
    with pytest.raises(UnreadableSound, match=r"row 3 of table\.csv"):
        samples(tmp_path / "c.wav", RATE, "c.wav (row 3 of table.csv)")


def test_a_file_that_is_cut_off_in_its_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:20])
    with pytest.raises(UnreadableSound, match="cannot be read as sound"):
        samples(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("count", [0, 10])
def test_a_sound_of_no_length(tmp_path, count):
    soundfile.write(tmp_path / "a.wav", TONE[:count], RATE)
    with pytest.raises(SoundTooShort, match=f"lasts {count / RATE:g} s"):
        samples(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    broken = TONE.copy()
    broken[[5, 9]] = value
    soundfile.write(tmp_path / "a.wav", broken, RATE, subtype="FLOAT")
    with pytest.raises(SoundNotFinite, match="2 of them"):
        samples(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("module", ["soundfile", "torchaudio"])
def test_what_is_not_installed_is_named(tmp_path, monkeypatch, module):
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    for name in list(sys.modules):
        if name == module or name.startswith(f"{module}."):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"pip install 'autolora\[speech\]'"):
        samples(tmp_path / "a.wav", 2 * RATE)
