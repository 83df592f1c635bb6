"""What Tune wrote of its own is of use to nobody after a run: the database knows.

A driver that is killed cannot take its folder away, so the next one does. Beside each folder lies a
file that its driver keeps locked; the kernel ends the lock with the driver.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = ".driver"


@contextmanager
def own(path: Path, name: str, *, stays: bool) -> Iterator[None]:
    """Within this context the folder `name` in `path` is this driver's; it is gone afterwards.

    One that `stays` is left alone, now and later. Folders of drivers that were killed go first.
    """
    _clear_abandoned(path)
    if stays:
        yield
        return
    path.mkdir(parents=True, exist_ok=True)
    mark = path / f"{name}{_MARK}"
    descriptor = os.open(mark, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: then nobody clears it later
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        _clear(mark)
        os.close(descriptor)
        with suppress(OSError):  # others have theirs there
            path.rmdir()


def _clear_abandoned(path: Path) -> None:
    for mark in path.glob(f"*{_MARK}"):
        with suppress(OSError):  # its driver lives, or nobody can tell
            descriptor = os.open(mark, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _clear(mark)
            finally:
                os.close(descriptor)


def _clear(mark: Path) -> None:
    shutil.rmtree(mark.with_name(mark.name.removesuffix(_MARK)), ignore_errors=True)
    with suppress(OSError):
        mark.unlink()
