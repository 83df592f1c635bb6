"""Images and sounds as files: what they are by their first bytes, where encoded ones are kept."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from autolora.artifacts.files import write_bytes
from autolora.data.assets import cache_folder

Kind = Literal["image", "audio"]

KIND_OF_ROLE: Mapping[str, Kind] = MappingProxyType(
    {"image": "image", "mask": "image", "audio": "audio"}
)

_HEAD = 16  # bytes
_MARKS: tuple[tuple[int, bytes, Kind, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image", ".png"),
    (0, b"\xff\xd8\xff", "image", ".jpg"),
    (0, b"GIF8", "image", ".gif"),
    (0, b"BM", "image", ".bmp"),
    (0, b"II*\0", "image", ".tif"),
    (0, b"MM\0*", "image", ".tif"),
    (8, b"WEBP", "image", ".webp"),
    (4, b"ftypavif", "image", ".avif"),
    *((0, b"P%d" % digit, "image", ".pnm") for digit in range(1, 7)),
    (8, b"WAVE", "audio", ".wav"),
    (0, b"fLaC", "audio", ".flac"),
    (0, b"OggS", "audio", ".ogg"),
    (0, b"ID3", "audio", ".mp3"),
    (0, b"\xff\xfb", "audio", ".mp3"),
    (0, b"\xff\xf3", "audio", ".mp3"),
    (0, b"\xff\xf2", "audio", ".mp3"),
    (0, b".snd", "audio", ".au"),
    (8, b"AIFF", "audio", ".aiff"),
    (8, b"AIFC", "audio", ".aiff"),
)


def kind_of(path: Path) -> Kind | None:
    """What a file is by its first bytes, whatever it is called.

    None if it is neither, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _recognised(file.read(_HEAD))[0]
    except OSError:
        return None


def stored(content: bytes) -> Path:
    """The file of an encoded image or sound, in the cache; equal contents share one."""
    suffix = _recognised(content)[1]
    digest = hashlib.sha256(content).hexdigest()
    path = cache_folder() / "media" / digest[:2] / f"{digest}{suffix}"
    if not path.is_file():
        write_bytes(path, content)
    return path.absolute()


def _recognised(content: bytes) -> tuple[Kind | None, str]:
    for start, mark, kind, suffix in _MARKS:
        if content.startswith(mark, start):
            return kind, suffix
    return None, ""
