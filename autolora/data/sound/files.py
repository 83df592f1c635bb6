"""Sound files: one channel of samples between -1 and 1."""

from pathlib import Path

import torch
from torch import Tensor

from autolora.errors import MissingExtra, SoundNotFinite, SoundTooShort, UnreadableSound

SHORTEST = 0.025  # seconds: one frame of every model here


def samples(path: Path, rate: int, place: str | None = None) -> Tensor:
    """What a file holds, the mean of its channels, at a rate of samples a second.

    Args:
        path: WAV of 8 to 32 bits or floats, FLAC, OGG and whatever else libsndfile reads.
        rate: Samples a second; another one in the file is resampled.
        place: What messages call the file.

    Shapes: result (samples,) of float32.

    Raises:
        UnreadableSound: if the file is not there or is no sound.
        SoundTooShort: if it is empty or shorter than a frame.
        SoundNotFinite: if a sample is no finite number.
        MissingExtra: if soundfile or torchaudio is not installed.
    """
    place = place or str(path)
    channels, original = _read(path, place)
    seconds = len(channels) / original
    if seconds < SHORTEST:
        raise SoundTooShort(place, seconds, SHORTEST)
    broken = int((~channels.isfinite()).sum())
    if broken:
        raise SoundNotFinite(place, broken)
    return _resampled(channels.mean(1), original, rate)


def _read(path: Path, place: str) -> tuple[Tensor, int]:
    """All channels, (samples, channels), and their rate."""
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtra("reading sound files", "soundfile", "speech") from error
    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        raise UnreadableSound(place, _reason(path, error)) from error
    return torch.from_numpy(channels), rate


def _reason(path: Path, error: Exception) -> str:
    if not path.is_file():
        return "there is no such file"
    if path.stat().st_size == 0:
        return "the file is empty"
    return str(getattr(error, "error_string", error)).rstrip(".")


def _resampled(channel: Tensor, original: int, rate: int) -> Tensor:
    """Source: torchaudio's windowed sinc interpolation."""
    if original == rate:
        return channel
    try:
        from torchaudio.functional import resample
    except ImportError as error:
        raise MissingExtra("resampling", "torchaudio", "speech") from error
    result: Tensor = resample(channel, original, rate)
    return result
