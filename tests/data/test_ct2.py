"""CTranslate2's format, written here by its description."""

import struct

import numpy as np
import pytest

from autolora.data.ct2 import read

TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
ARRAYS = {
    "encoder/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "encoder/bias": np.array([0.5, -1e-7], dtype=np.float32),
    "scale": np.array(7, dtype=np.int32),
    "table": np.array([[-128, 127]], dtype=np.int8),
    "steps": np.zeros((2, 1, 3), dtype=np.int16),
}


def text(value: str) -> bytes:
    content = value.encode() + b"\0"
    return struct.pack("<H", len(content)) + content


def variable(name: str, array: np.ndarray) -> bytes:
    shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    return (
        text(name)
        + shape
        + struct.pack("<BI", TYPES[array.dtype.name], array.nbytes)
        + array.tobytes()
    )


@pytest.fixture
def written(tmp_path):
    def write(version: int):
        path = tmp_path / "model.bin"
        head = struct.pack("<I", version) + text("AnySpec") + struct.pack("<II", 3, len(ARRAYS))
        alias = struct.pack("<I", 1) + text("tied") + text("table")
        path.write_bytes(head + b"".join(variable(*item) for item in ARRAYS.items()) + alias)
        return path

    return write


def test_every_array_comes_back(written):
    found = read(written(6))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def test_another_version_is_not_guessed_at(written):
    with pytest.raises(AssertionError, match="version 5 of CTranslate2's format, not 6"):
        read(written(5))
