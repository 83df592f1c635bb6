"""Files of any origin, read with care: bounded in size, checked before a value is believed."""

import json
import math
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from autolora.errors import AdapterFile

_JSON_BYTES = 2**26  # a fingerprint of 100 000 parameters takes a tenth of it
_NAME_LENGTH = 1000
# What a factor can be; whole numbers are counters of a trained head's norms.
_TYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL"}


def room(model: nn.Module) -> int:
    """The most bytes that an adapter of a model may fill: whatever needs more is none.

    At full rank both factors together have twice the parameters of their matrix; other libraries
    write packed parameters at several times the rank, and a trained table in full beside it.
    """
    return 2**26 + 64 * sum(parameter.numel() for parameter in model.parameters())


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a regular file; a link to one is followed.

    Raises:
        AdapterFile: if it is not there, is a device or a pipe, or holds more than `most` bytes.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise AdapterFile(path, "it is no regular file")
        if found.st_size > most:
            raise AdapterFile(path, f"its {found.st_size:,} bytes are more than {most:,}, the most")
        with path.open("rb") as file:
            return file.read(found.st_size)
    except (OSError, ValueError) as error:
        raise AdapterFile(path, "the file is missing or cannot be opened") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        AdapterFile: if there is none.
    """
    return parse_json(read_file(path, _JSON_BYTES), path)


def parse_json(content: bytes | str, source: object) -> dict[str, Any]:
    """A JSON object from its text; a key that stands twice is refused, for loaders differ on it.

    Raises:
        AdapterFile: if it is none, or nested deeper than anything that is written.
    """
    try:
        data = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        raise AdapterFile(source, f"it is no JSON ({reason})") from error
    if not isinstance(data, dict):
        raise AdapterFile(source, "it is no JSON object")
    return data


def read_header(content: bytes, source: object) -> dict[str, Any]:
    """The header of a safetensors file: its own JSON, before any tensor is made.

    Raises:
        AdapterFile: if it is cut off, or claims more than the file holds.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(len(content) - 8, _JSON_BYTES):
        raise AdapterFile(
            source, f"it is no whole safetensors file: {len(content):,} bytes, {size:,} of header"
        )
    return parse_json(content[8 : 8 + size], source)


def metadata(content: bytes, source: object) -> dict[str, str]:
    """What the writer of a safetensors file noted beside the tensors."""
    found = read_header(content, source).get("__metadata__", {})
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def read_tensors(content: bytes, source: object) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        AdapterFile: if it is cut off or something else, a name is no path of a model, a type is
            none that an adapter has, or a value is no finite number.
    """
    for name, entry in read_header(content, source).items():
        if name != "__metadata__":
            _check_entry(name, entry, source)
    try:
        tensors = load_tensors(content)
    except Exception as error:
        raise AdapterFile(source, f"it is no whole safetensors file ({error})") from error
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise AdapterFile(source, f"{name} holds values that are no finite numbers")
    return tensors


def only_floats(tensors: Mapping[str, Tensor], source: object) -> None:
    """Makes sure that every tensor can be trained.

    Raises:
        AdapterFile: naming one that holds whole numbers.
    """
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise AdapterFile(source, f"{name} is {value.dtype}, no floating-point numbers")


def number(value: object, what: str, source: object) -> float:
    """A finite number of a header.

    Raises:
        AdapterFile: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        raise AdapterFile(source, f"{what} is {str(value)[:80]!r}, no number")
    if not math.isfinite(value):
        raise AdapterFile(source, f"{what} is {value}, no finite number")
    return float(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"{twice[:80]!r} stands in it twice")
    return found


def _check_entry(name: str, entry: Any, source: object) -> None:
    if len(name) > _NAME_LENGTH or not name.isprintable() or not all(name.split(".")):
        raise AdapterFile(source, f"{name[:80]!r} cannot name a tensor of a model")
    kind = entry.get("dtype") if isinstance(entry, dict) else None
    if kind not in _TYPES:
        raise AdapterFile(source, f"{name} is of the type {str(kind)[:40]}, which no adapter has")
