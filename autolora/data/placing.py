"""Folders of verified files: checked beside their place, then put there whole."""

import hashlib
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from autolora.artifacts.files import disk_errors
from autolora.data.archives import Member
from autolora.errors import AssetDamaged


def put(place: Path, held: Iterable[Member], sha256: str, origin: object) -> None:
    """Writes files beside their place, checks their digest, and puts the folder in place.

    What lies there already makes room if it is damaged. Processes may do the same at once.

    Raises:
        AssetDamaged: if the files do not have the digest, or a name leads out of the folder.
        StorageUnavailable: if the disk is full or the folder cannot be written.
    """
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as beside:
            new = Path(beside, "new")
            new.mkdir()
            for name, content in held:
                _write(new, name, content, origin)
            check(digest(new), sha256, origin)
            _move(new, place, Path(beside, "old"))


def digest(place: Path) -> str:
    """The digest of a folder: of its only file, or of the sorted list of names and digests.

    The list is as `sha256sum` prints it. A folder that is missing has that of an empty list.
    """
    found = sorted((p.relative_to(place).as_posix(), p) for p in place.rglob("*") if p.is_file())
    each = [(name, file_digest(path)) for name, path in found]
    if len(each) == 1:
        return each[0][1]
    listed = "".join(f"{sha256}  {name}\n" for name, sha256 in each)
    return hashlib.sha256(listed.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(found: str, sha256: str, source: object) -> None:
    """Refuses what has another digest.

    Raises:
        AssetDamaged: if the digests differ.
    """
    if found != sha256:
        raise AssetDamaged(source, f"its sha256 is {found[:16]}…, not {sha256[:16]}…")


def _write(folder: Path, name: str, content: bytes, origin: object) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise AssetDamaged(origin, f"it would write {name} outside its folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _move(new: Path, place: Path, old: Path) -> None:
    if _moved(new, place):
        return
    with suppress(FileNotFoundError):
        place.rename(old)
    if not _moved(new, place):
        new.rename(place)  # says why it cannot


def _moved(new: Path, place: Path) -> bool:
    """Whether the files are in place now: ours, or those of another process that was first."""
    try:
        new.rename(place)
    except OSError:
        return digest(place) == digest(new)
    return True
