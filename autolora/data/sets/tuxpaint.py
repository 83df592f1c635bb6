"""Tux Paint's stamps: cut-out photos of animals, food, plants and things."""

from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from autolora.data.assets import find, folder
from autolora.data.placing import file_digest
from autolora.data.stored import Bytes, stored
from autolora.data.table import Table
from autolora.errors import MissingExtra

ABOUT = "Stamps of Tux Paint: photos on white, 224 × 224, by kind; image, label"

_KINDS = ("animals", "food", "household", "plants", "seasonal", "town")  # 30 pictures or more
_SIDE = 224


@cache
def tables() -> Table:
    """The pictures in memory, in colour, whole and centred; those that are transparent are white.

    Cartoons, mirrored copies and files that are there twice are left out.

    Shapes: an image (224, 224, 3) of uint8.
    Source: Debian's `tuxpaint-stamps-default`; the kind is the folder.

    Raises:
        MissingExtra: if pillow is not installed.
    """
    place = folder("tuxpaint")
    files = _files(place)
    names = [file.relative_to(place) for file in files]
    key = sha256(f"{find('tuxpaint').sha256} {_SIDE} {names}".encode()).hexdigest()[:16]
    images = stored(f"tuxpaint-{key}", lambda: np.stack([_on_white(file) for file in files]))
    kinds = [name.parts[0] for name in names]
    return Table({"image": list(np.asarray(images)), "label": kinds}, "tuxpaint")


def _files(place: Path) -> list[Path]:
    distinct: dict[str, Path] = {}
    for kind in _KINDS:
        for file in sorted((place / kind).rglob("*.png")):
            if "cartoon" not in file.parts and not file.stem.endswith("_mirror"):
                distinct.setdefault(file_digest(file), file)
    return list(distinct.values())


def _on_white(file: Path) -> Bytes:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtra("the data set tuxpaint", "pillow", "vision") from error
    with Image.open(file) as read:
        fitted = ImageOps.contain(read.convert("RGBA"), (_SIDE, _SIDE))
    ground = Image.new("RGBA", (_SIDE, _SIDE), "white")
    left, top = ((_SIDE - length) // 2 for length in fitted.size)
    ground.alpha_composite(fitted, (left, top))
    return np.asarray(ground.convert("RGB"))
