"""Prepared recordings: what a model hears of each, computed once and mapped from a file."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from autolora.data.sound.features import Feature
from autolora.data.sound.files import samples
from autolora.data.stored import stored
from autolora.data.table import Table
from autolora.errors import SoundTooLong

TooLong = Literal["refuse", "cut", "drop"]

_VERSION = 1  # of how recordings are read: a change makes stored ones stale


@dataclass(frozen=True)
class Clips:
    """Recordings behind each other.

    Attributes:
        frames: Of all of them.
        lengths: How many frames each has.
        kept: The row of each in the data; rows are missing where recordings were dropped.
        window: How many frames each is padded to; None pads to the longest of a batch.

    Shapes: frames (all frames, bands) of float32; lengths, kept (clips,).
    """

    frames: Tensor
    lengths: Tensor
    kept: Tensor
    window: int | None = None

    def padded(self, indices: Tensor) -> Tensor:
        """Some of them side by side, with zeros after the end, or the last frame in a window.

        Shapes: indices (batch,); result (batch, frames, bands).
        """
        ends = self.lengths.cumsum(0)
        clips = [self.frames[ends[i] - self.lengths[i] : ends[i]] for i in indices.tolist()]
        if self.window is None:
            return pad_sequence(clips, batch_first=True)
        return torch.stack([_filled(clip, self.window) for clip in clips])


def prepare(
    table: Table, feature: Feature, *, seconds: float | None, too_long: TooLong, key: Any
) -> Clips:
    """The recordings of a split as a model hears them, from the cache if they are there.

    Args:
        table: Its column `audio` names a file a row.
        feature: What the model hears.
        seconds: The longest that a recording may be.
        too_long: What becomes of a longer one.
        key: Plain data that tell the contents of the files, as the identity of the data does.

    Raises:
        UnreadableSound: if a file is not there or is no sound.
        SoundTooShort: if one is empty.
        SoundNotFinite: if a sample is no finite number.
        SoundTooLong: if one is too long and that is refused.
        StorageUnavailable: if the cache cannot be written.
    """
    parts = json.dumps([_VERSION, feature.settings, seconds, too_long, key], sort_keys=True)
    name = f"sound-{hashlib.sha256(parts.encode()).hexdigest()[:24]}"

    @cache
    def made() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return _heard(table, feature, seconds, too_long)

    rows = stored(f"{name}-lengths", lambda: made()[0].view(np.uint8)).view(np.int64)
    frames = stored(f"{name}-frames", lambda: made()[1].view(np.uint8)).view(np.float32)
    kept, lengths = torch.from_numpy(np.array(rows))
    return Clips(torch.from_numpy(frames), lengths, kept, feature.window)


def _heard(
    table: Table, feature: Feature, seconds: float | None, too_long: TooLong
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The rows that are kept over their lengths (2, clips), and all frames."""
    kept, frames = [], []
    for row, path in enumerate(table.columns["audio"]):
        place = f"{path} ({table.place(row)})"
        sound = samples(path, feature.rate, place)
        if seconds is not None and len(sound) > round(seconds * feature.rate):
            if too_long == "refuse":
                raise SoundTooLong(place, len(sound) / feature.rate, seconds)
            if too_long == "drop":
                continue
            sound = sound[: round(seconds * feature.rate)]
        kept.append(row)
        frames.append(feature.compute(sound))
    lengths = [len(each) for each in frames]
    every = torch.cat(frames) if frames else torch.zeros(0, 1)
    return np.array([kept, lengths], dtype=np.int64), np.ascontiguousarray(every.numpy())


def _filled(clip: Tensor, window: int) -> Tensor:
    return torch.cat([clip, clip[-1:].expand(window - len(clip), -1)])
