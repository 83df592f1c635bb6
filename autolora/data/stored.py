"""Prepared arrays: computed once, then read from a memory-mapped file of the cache folder."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolora.artifacts.files import write_bytes
from autolora.data.assets import cache_folder

Bytes = NDArray[np.uint8]


def stored(name: str, make: Callable[[], Bytes]) -> Bytes:
    """An array out of the cache, made and put there if it is missing or cut off.

    `name` must tell everything the content depends on. The array is mapped, not read: processes
    share its pages, and what is written to it stays in this process.

    Raises:
        StorageUnavailable: if the cache cannot be written.
    """
    path = cache_folder() / "prepared" / f"{name}.npy"
    try:
        return _mapped(path)
    except (OSError, ValueError, EOFError):
        content = BytesIO()
        np.save(content, make(), allow_pickle=False)
        write_bytes(path, content.getvalue())
    return _mapped(path)


def _mapped(path: Path) -> Bytes:
    array: Bytes = np.load(path, mmap_mode="c", allow_pickle=False)
    return array
