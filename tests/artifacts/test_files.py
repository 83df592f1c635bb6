"""Folders appear whole or not at all; what is not ours is not touched."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import autolora
from autolora.artifacts.files import write_bytes, write_folder, write_text
from autolora.artifacts.fingerprint import Fingerprint
from autolora.errors import FolderTaken, StorageUnavailable

OURS, MARKS = frozenset({"mark", "other", "README.md"}), frozenset({"mark"})


def put(folder: Path, **files: bytes) -> None:
    write_folder(folder, files, ours=OURS, marks=MARKS)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_former_version_is_replaced_as_a_whole(tmp_path: Path) -> None:
    put(tmp_path / "a", mark=b"1", other=b"1")
    put(tmp_path / "a", mark=b"2")
    assert content(tmp_path) == {"a/mark": b"2"}
    assert {p.name for p in tmp_path.iterdir()} == {"a"}


def test_folders_and_files_can_be_read_by_others(tmp_path: Path) -> None:
    put(tmp_path / "deep" / "a", mark=b"1")
    assert (tmp_path / "deep" / "a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "deep" / "a" / "mark").stat().st_mode & 0o777 == 0o644


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    put(tmp_path / "a", mark=b"1")
    assert content(tmp_path) == {"a/mark": b"1"}


@pytest.mark.parametrize(
    "files", [{"thesis.txt"}, {"README.md"}, {"mark", "thesis.txt"}, {"mark", "sub/thesis.txt"}]
)
def test_a_folder_with_anything_else_is_not_touched(files: set[str], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / name).write_bytes(b"mine")
    before = content(tmp_path)
    with pytest.raises(FolderTaken, match="nothing was written"):
        put(tmp_path / "a", mark=b"2")
    assert content(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mark").write_bytes(b"mine")
    with pytest.raises(FolderTaken):
        put(tmp_path / "mark", mark=b"2")
    assert content(tmp_path) == {"mark": b"mine"}


class FailsAt:
    """A system call that reports a full disk at one of its calls, or at every one from there on."""

    def __init__(self, real: Any, number: int, *, last: int | None = None) -> None:
        self.real, self.number, self.last, self.calls = real, number, last or number, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.number <= self.calls <= self.last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.real(*args, **options)


CALLS = [("fsync", 1), ("fsync", 2), ("replace", 1), ("replace", 2), ("rename", 1), ("rename", 2)]


@pytest.mark.parametrize(("call", "number"), CALLS)
def test_a_write_that_fails_midway_leaves_the_old_version(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a", mark=b"1", other=b"1")
    with monkeypatch.context() as patch:
        fails = FailsAt(getattr(os, call), number)
        patch.setattr(os, call, fails)
        with pytest.raises(StorageUnavailable, match="No space left on device") as caught:
            put(tmp_path / "a", mark=b"2", other=b"2")
    assert fails.calls >= number
    assert str(caught.value).startswith(f"{tmp_path / 'a'} cannot be written")
    assert content(tmp_path) == {"a/mark": b"1", "a/other": b"1"}
    assert {p.name for p in tmp_path.iterdir()} == {"a"}


def test_an_old_version_that_cannot_go_back_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a", mark=b"1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", FailsAt(os.rename, 2, last=3))
        with pytest.raises(StorageUnavailable):
            put(tmp_path / "a", mark=b"2")
    assert list(content(tmp_path).values()) == [b"1"]


def test_an_interrupt_between_the_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a", mark=b"1")
    real, calls = os.rename, []

    def rename(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            put(tmp_path / "a", mark=b"2")
    assert content(tmp_path) == {"a/mark": b"1"}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_single_file_is_old_or_new(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a", "1 µ")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, FailsAt(getattr(os, call), 1))
        with pytest.raises(StorageUnavailable, match="free space"):
            write_bytes(tmp_path / "a", b"2")
    assert content(tmp_path) == {"a": "1 µ".encode()}
    write_bytes(tmp_path / "a", b"2")
    assert content(tmp_path) == {"a": b"2"}


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(StorageUnavailable, match="choose another folder"):
        put(tmp_path / "file" / "a", mark=b"1")
    with pytest.raises(StorageUnavailable):
        write_bytes(tmp_path / "file" / "a", b"1")
    assert content(tmp_path) == {"file": b"mine"}


def test_saving_beside_a_users_file_is_refused(trained: nn.Module, tmp_path: Path) -> None:
    autolora.save(trained, tmp_path / "a")
    with pytest.warns(UserWarning, match="peft cannot express"):
        autolora.save(trained, tmp_path / "a", format="peft")  # another format is a version too
    assert not (tmp_path / "a" / "adapter.json").exists()
    (tmp_path / "a" / "notes.txt").write_text("mine")
    before = content(tmp_path)
    with pytest.raises(FolderTaken):
        autolora.save(trained, tmp_path / "a")
    assert content(tmp_path) == before


def test_a_fingerprint_reaches_the_end_of_a_large_table() -> None:
    # More values than a float32 can count: the last place is no float32.
    model = nn.Module()
    model.table = nn.Parameter(torch.zeros(1).expand(2**24 + 4), requires_grad=False)
    assert Fingerprint.of(model).parameters == {"table": ((2**24 + 4,), "torch.float32")}


@pytest.mark.parametrize("size", [0, 1, 2, 63, 64, 65, 1000])
def test_a_fingerprint_sees_both_ends(size: int) -> None:
    model = nn.Module()
    model.vector = nn.Parameter(torch.zeros(size))
    digests = {Fingerprint.of(model).digest}
    for place in {0, size - 1} if size else ():
        with torch.no_grad():
            model.vector.zero_()[place] = 1
        digests.add(Fingerprint.of(model).digest)
    assert len(digests) == 1 + min(size, 2)
