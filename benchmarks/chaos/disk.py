"""The disk below a SQLite file fills up, becomes read-only, or fails: real file systems, mounted.

Mounting needs root; without it these faults are told as not possible.
"""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autolora.errors import StorageUnavailable
from autolora.study.storage import open_storage
from autolora.study.store import Store
from benchmarks.chaos.counts import Counts, counted, ended
from benchmarks.chaos.place import Place, placed
from benchmarks.chaos.waiting import codes, until
from tests.postgres import Server

TRIALS, PACE_SECONDS, BEFORE = 8, 0.3, 4
EXIT_STORAGE = 3
_IMAGE_BYTES = 24 * 2**20


@dataclass(frozen=True)
class Disk:
    """A mounted file system and how it is mounted."""

    folder: Path
    how: tuple[str, ...]

    def mount(self) -> None:
        _call("mount", *self.how, str(self.folder))

    def again(self, options: str) -> None:
        """Changes how it is mounted."""
        _call("mount", "-o", f"remount,{options}", str(self.folder))

    def unmount(self) -> None:
        _call("umount", str(self.folder))


def full(server: Server | None, *, short: bool) -> Counts:
    """A file system of 1 MB that fills up during a search, and is then given more room."""
    del server, short
    with _mounted("-t", "tmpfs", "-o", "size=1m", "none") as disk, _at(disk) as place:
        search = place.search()
        until(place, lambda: ended(place) >= BEFORE)
        stored = _stored(place)
        _fill(disk.folder / "filler")
        (code,) = codes(place, [search])
        (disk.folder / "filler").unlink()
        disk.again("size=16m")
        return _went_on(place, stored, code, "the disk is full")


def read_only(server: Server | None, *, short: bool) -> Counts:
    """A search that is killed, and its file system is read-only when it is to go on."""
    del server, short
    with _mounted("-t", "tmpfs", "-o", "size=16m", "none") as disk, _at(disk) as place:
        search = place.search()
        until(place, lambda: ended(place) >= BEFORE)
        search.send_signal(signal.SIGKILL)
        search.wait()
        stored = _stored(place)
        disk.again("ro")
        (code,) = codes(place, [place.search()])
        disk.again("rw")
        return _went_on(place, stored, code, "read-only")


def failing(server: Server | None, *, short: bool) -> Counts:
    """A disk of ext4 that fails during a search: nothing can be written any more.

    What it had not yet been made to write is lost, as when the power goes. It is mounted again.
    """
    del server, short
    with tempfile.TemporaryDirectory(prefix="autolora-chaos-") as name:
        image = Path(name) / "image"
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        _call("mkfs.ext4", "-q", str(image))
        with _mounted("-o", "loop", str(image)) as disk, _at(disk) as place:
            search = place.search()
            until(place, lambda: ended(place) >= BEFORE)
            stored = _stored(place)
            disk.again("abort")
            (code,) = codes(place, [search])
            disk.unmount()
            disk.mount()
            return _went_on(place, stored, code, "the disk failed to read or write")


@contextmanager
def _at(disk: Disk) -> Iterator[Place]:
    with placed(None, TRIALS, disk.folder) as place:
        place.describe(name="inline", retries=20)
        place.pace(PACE_SECONDS)
        yield place


def _went_on(place: Place, stored: dict[int, float | None], code: int, words: str) -> Counts:
    """What there is after the same command, which finds a disk that works again."""
    said = place.said(words)
    after = _stored(place)  # before a repetition could give the same numbers again
    (last,) = codes(place, [place.search()])
    kept = sum(after.get(number) == loss for number, loss in stored.items())
    also = {
        f"exit code {code}": code == EXIT_STORAGE,
        f'said "{words}"': said,
        f"{kept} of {len(stored)} results kept": kept == len(stored),
        f"the same command again: exit code {last}": last == 0,
    }
    return counted(place, 1, also)


def _stored(place: Place) -> dict[int, float | None]:
    """The results that the database gives, by trial."""
    try:
        storage = open_storage(place.url, create=False)
    except StorageUnavailable:
        return {}
    store = Store(storage, "sums")
    try:
        rows = store.results().trials if store.exists() else ()
    finally:
        storage.close()
    return {row.number: row.loss for row in rows if row.state == "complete"}


def _fill(path: Path) -> None:
    """Writes until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


@contextmanager
def _mounted(*how: str) -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="autolora-disk-") as name:
        disk = Disk(Path(name), how)
        disk.mount()
        try:
            yield disk
        finally:
            disk.unmount()


def _call(*words: str) -> None:
    found = subprocess.run(words, check=False, capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"not possible here: {' '.join(words[:1])}: {found.stderr.strip()}")
