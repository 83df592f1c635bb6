"""Images read once, brought to one size, and kept as bytes."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from autolora.data.stored import Bytes, stored
from autolora.errors import MissingExtra, NotAnImage

Fit = Literal["stretch", "crop"]
Place = Callable[[int], str]
_VERSION = 1  # of how images are prepared


def pictures(values: Sequence[Any], side: int, fit: Fit, place: Place) -> Tensor:
    """Images as squares of bytes; grey ones keep one channel if all of them are grey.

    Transparent pixels become white. "crop" keeps the proportions and cuts what is beyond the
    middle square; "stretch" keeps everything.

    Args:
        values: Files, or pixels (height, width[, channels]) of uint8.
        side: The side of the square, in pixels.
        fit: What happens to an image that is no square.
        place: What messages call the place of each image, as `Table.place` gives it.

    Shapes: result (images, channels, side, side) of uint8, with 1 or 3 channels.

    Raises:
        NotAnImage: if a file cannot be read, with its place.
    """
    key = hashlib.sha256(f"{_VERSION} {side} {fit}".encode())
    for value in values:
        key.update(_identity(value))
    make = lambda: _prepared(values, side, fit, place)  # noqa: E731 — said once, where it is used
    return torch.from_numpy(stored(f"pictures-{key.hexdigest()[:24]}", make))


def masks(values: Sequence[Any], side: int, fit: Fit, place: Place) -> Tensor:
    """Masks of segmentation: the value of a pixel is its class; nearest pixels are taken.

    Shapes: result (masks, side, side) of uint8.

    Raises:
        NotAnImage: if a file cannot be read, or is no image of one channel.
    """
    rows = []
    for row, value in enumerate(values):
        pixels = _read(value, place(row), mask=True)
        rows.append(
            _square(torch.from_numpy(pixels)[None, None].float(), side, fit, "nearest")[0, 0]
        )
    return torch.stack(rows).to(torch.uint8)


def _prepared(values: Sequence[Any], side: int, fit: Fit, place: Place) -> Bytes:
    squares = []
    for row, value in enumerate(values):
        pixels = torch.from_numpy(_read(value, place(row)))
        planes = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
        square = _square(planes[None].float(), side, fit, "bilinear")
        squares.append(square[0].round().clamp(0, 255).to(torch.uint8))
    if len({len(square) for square in squares}) > 1:
        squares = [square.expand(3, -1, -1) for square in squares]
    return torch.stack(squares).numpy()


def _square(image: Tensor, side: int, fit: Fit, mode: str) -> Tensor:
    """An image (1, channels, height, width) at one size, smoothed where it shrinks."""
    if fit == "crop":
        height, width = image.shape[-2:]
        least = min(height, width)
        top, left = (height - least) // 2, (width - least) // 2
        image = image[..., top : top + least, left : left + least]
    smooth = {"antialias": True} if mode == "bilinear" else {}
    return interpolate(image, size=(side, side), mode=mode, **smooth)


def _read(value: Any, place: str, *, mask: bool = False) -> NDArray[np.uint8]:
    """Pixels (height, width) of a grey image or mask, (height, width, 3) of a coloured one."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("reading images", "Pillow", "vision") from error
    try:
        with Image.open(value) as opened:
            opened.load()
            if mask:
                return _classes(opened, value)
            if opened.mode in ("L", "1"):
                return np.array(opened.convert("L"))
            return np.array(_on_white(opened))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NotAnImage(place, value, str(error)) from error


def _classes(opened: Any, path: object) -> NDArray[np.uint8]:
    if opened.mode not in ("L", "P", "1"):
        raise ValueError(
            f"a mask has one channel with the class of each pixel, {path} is {opened.mode}"
        )
    return np.array(opened, dtype=np.uint8)


def _on_white(opened: Any) -> Any:
    from PIL import Image

    if opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info:
        opened = opened.convert("RGBA")
        white = Image.new("RGBA", opened.size, "white")
        opened = Image.alpha_composite(white, opened)
    return opened.convert("RGB")


def _identity(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).digest()
    path = Path(value)
    told = path.stat()
    return f"{path} {told.st_size} {told.st_mtime_ns}".encode()
