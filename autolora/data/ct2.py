"""Reads CTranslate2's `model.bin`: named arrays, one after the other."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by the number in the file


def read(path: Path) -> Arrays:
    """The variables of a file of format version 6; they are views of its bytes.

    An alias (a tied weight) is not listed.

    Source: CTranslate2, `python/ctranslate2/specs/model_spec.py`: version, name of the
    specification, its revision, number of variables; each with name, shape, type and bytes.
    """
    content = path.read_bytes()
    version, at = _number(content, 0)
    assert version == 6, f"{path} has version {version} of CTranslate2's format, not 6"
    _, at = _text(content, at)
    (_, count), at = struct.unpack_from("<II", content, at), at + 8
    variables: dict[str, NDArray[Any]] = {}
    for _ in range(count):
        name, at = _text(content, at)
        variables[name], at = _array(content, at)
    return variables


def _array(content: bytes, at: int) -> tuple[NDArray[Any], int]:
    dimensions = content[at]
    shape = struct.unpack_from(f"<{dimensions}I", content, at + 1)
    at += 1 + 4 * dimensions
    kind = np.dtype(_TYPES[content[at]])
    size, at = _number(content, at + 1)
    flat = np.frombuffer(content, kind, size // kind.itemsize, at)
    return flat.reshape(shape), at + size


def _number(content: bytes, at: int) -> tuple[int, int]:
    (number,) = struct.unpack_from("<I", content, at)
    return number, at + 4


def _text(content: bytes, at: int) -> tuple[str, int]:
    """A string: its length with the closing zero byte, then its bytes."""
    (size,) = struct.unpack_from("<H", content, at)
    at += 2
    return content[at : at + size].rstrip(b"\0").decode(), at + size
