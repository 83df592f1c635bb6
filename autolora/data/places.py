"""What readers need to know of the places they read."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from autolora.errors import NoExamples, UnreadableData

SPLIT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "train": "train",
        "valid": "valid",
        "validation": "valid",
        "val": "valid",
        "dev": "valid",
        "test": "test",
    }
)

_WRITTEN_BY_DATASETS = ("dataset_info.json", "dataset_dict.json")


def written_by_datasets(folder: Path) -> bool:
    """Whether `save_to_disk` of datasets wrote a folder."""
    return any((folder / mark).is_file() for mark in _WRITTEN_BY_DATASETS)


def text_of(path: Path) -> str:
    """A file of UTF-8 text, with or without a byte order mark; its line ends are kept.

    Raises:
        NoExamples: if it holds nothing.
        UnreadableData: if it cannot be opened, is no UTF-8, or holds a NUL.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableData(path, error.strerror or str(error)) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{content[error.start]:02x} is no UTF-8; save the file as UTF-8"
        raise UnreadableData(f"line {line} of {path}", problem) from error
    if (nul := text.find("\0")) >= 0:
        # No one types it: it is what is left of UTF-16, or of a file that was cut off.
        place = f"line {text.count(chr(10), 0, nul) + 1} of {path}"
        raise UnreadableData(place, "it holds a NUL character; save the file as UTF-8")
    if not text.strip():
        raise NoExamples(path)
    return text
