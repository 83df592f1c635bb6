"""What a model hears of a recording: its waveform, or the power in bands of frequencies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from autolora.errors import MissingExtra

_WINDOW, _HOP = 0.025, 0.010  # seconds
_FLOOR = 1e-10  # of power, below which a logarithm would tell of rounding
_LOUDNESS = 10 ** (-30 / 20)  # of Resemblyzer: the root mean square of samples, of full scale


@dataclass(frozen=True)
class Feature:
    """How samples become what a model hears.

    Attributes:
        rate: Samples a second that it asks for.
        compute: From samples (samples,) to frames (frames, bands).
        settings: All that decides its values, in plain data.
        window: The frames of a model that always hears equally many; None where it hears any
            number. What is missing repeats the last frame.
        seconds: The longest recording that fits, where there is a window.
    """

    rate: int
    compute: Callable[[Tensor], Tensor]
    settings: Any
    window: int | None = None
    seconds: float | None = None


def feature(kind: str, rate: int = 16_000, bands: int = 40) -> Feature:
    """One of `KINDS`, at a rate and with a number of bands (none for a waveform)."""
    return Feature(rate, partial(KINDS[kind], rate=rate, bands=bands), (kind, rate, bands))


def normal_waveform() -> Feature:
    """A waveform with a mean of 0 and a variance of 1."""
    return Feature(16_000, _normal, ("normal waveform", 1))


def resemblyzer() -> Feature:
    """Power in 40 mel bands, from samples as loud as Resemblyzer's own.

    Source: Resemblyzer, `audio.py`: quiet recordings are raised to -30 dB, loud ones stay.
    """
    return Feature(16_000, _resemblyzer, ("resemblyzer", 1))


def whisper(seconds: int, bands: int = 80) -> Feature:
    """Whisper's logarithm of the power in mel bands, over a window of seconds.

    Source: Radford et al. 2023, section 2.2, and whisper's `audio.py`.
    """
    compute = partial(_whisper, length=seconds * 16_000, bands=bands)
    settings = ("whisper", seconds, bands)
    return Feature(16_000, compute, settings, window=100 * seconds, seconds=seconds)


def trimmed(frames: Tensor) -> Tensor:
    """Frames without the equal ones at their end, but for one.

    Shapes: frames (frames, bands); result at most as many frames.
    """
    differs = (frames != frames[-1]).any(1).nonzero()
    return frames[: int(differs[-1]) + 2] if len(differs) else frames[:1]


def _waveform(samples: Tensor, **_: int) -> Tensor:
    return samples[:, None]


def _normal(samples: Tensor) -> Tensor:
    return nn.functional.layer_norm(samples, samples.shape)[:, None]


def _mel(samples: Tensor, *, rate: int, bands: int) -> Tensor:
    power: Tensor = _transform("MelSpectrogram", rate, bands, "constant")(samples)
    return power.T


def _log_mel(samples: Tensor, *, rate: int, bands: int) -> Tensor:
    return _mel(samples, rate=rate, bands=bands).clamp_min(_FLOOR).log()


def _mfcc(samples: Tensor, *, rate: int, bands: int) -> Tensor:
    coefficients: Tensor = _transform("MFCC", rate, bands, "constant")(samples)
    return coefficients.T


def _resemblyzer(samples: Tensor) -> Tensor:
    loudness = samples.square().mean().sqrt()
    if 0 < loudness < _LOUDNESS:
        samples = samples * (_LOUDNESS / loudness)
    return _mel(samples, rate=16_000, bands=40)


def _whisper(samples: Tensor, *, length: int, bands: int) -> Tensor:
    padded = nn.functional.pad(samples, (0, length - len(samples)))
    power = _transform("MelSpectrogram", 16_000, bands, "reflect")(padded)[:, :-1]
    logs = power.clamp_min(_FLOOR).log10()
    heard: Tensor = (torch.maximum(logs, logs.max() - 8) + 4) / 4
    return trimmed(heard.T)


@cache
def _transform(name: str, rate: int, bands: int, pad_mode: str) -> Callable[[Tensor], Tensor]:
    """A transform of torchaudio, over windows of 25 ms every 10 ms, in mel bands as librosa's."""
    try:
        from torchaudio import transforms
    except ImportError as error:
        raise MissingExtra("features of sound", "torchaudio", "speech") from error
    window, hop = round(_WINDOW * rate), round(_HOP * rate)
    mel = {
        "n_fft": window,
        "hop_length": hop,
        "n_mels": 2 * bands if name == "MFCC" else bands,
        "pad_mode": pad_mode,
        "norm": "slaney",
        "mel_scale": "slaney",
    }
    if name == "MFCC":
        made: nn.Module = transforms.MFCC(rate, n_mfcc=bands, melkwargs=mel)
    else:
        made = transforms.MelSpectrogram(rate, **mel)
    return made


KINDS: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {"waveform": _waveform, "mel": _mel, "log_mel": _log_mel, "mfcc": _mfcc}
)
