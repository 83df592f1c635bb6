"""Files appear whole or not at all: written beside, synced, renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autolora.errors import FolderTaken, StorageUnavailable


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what an operating system says of a full or read-only disk into one sentence."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StorageUnavailable(
            f"{path} cannot be written: {reason}; free space or choose another folder"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file at once, making its folder if need be.

    Raises:
        StorageUnavailable: if the disk is full or the folder cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


def write_folder(
    folder: Path, files: dict[str, bytes], *, ours: frozenset[str], marks: frozenset[str]
) -> None:
    """Writes a folder of files at once; a former version of it is replaced as a whole.

    A former version holds one of `marks` and nothing but `ours`. A link to a folder stays a link.

    Raises:
        FolderTaken: if the folder holds something else.
        StorageUnavailable: if the disk is full or the folder cannot be written.
    """
    with disk_errors(folder):
        if folder.exists():
            there = {f.name for f in folder.iterdir()} if folder.is_dir() else {""}
            if there and not (there <= ours and there & marks):
                raise FolderTaken(folder)
        folder = folder.resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for name, content in files.items():
                _write(beside / name, content)
            beside.chmod(0o755)
            _swap(beside, folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise


def _write(path: Path, content: bytes) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _swap(new: Path, folder: Path) -> None:
    """Puts a new folder in the place of an old one, which is deleted only once that is done."""
    if not folder.exists():
        new.rename(folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    kept = old / folder.name
    try:
        folder.rename(kept)
        new.rename(folder)
    except BaseException:
        if kept.exists():
            kept.rename(folder)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)
