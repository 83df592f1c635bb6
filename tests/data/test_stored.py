import numpy as np
import pytest

from autolora.data.stored import stored
from autolora.errors import StorageUnavailable

CONTENT = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def never() -> np.ndarray:
    raise AssertionError("it is stored already")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOLORA_CACHE", str(tmp_path))
    return tmp_path / "prepared"


def test_an_array_is_made_once_and_mapped(folder):
    assert np.array_equal(stored("a", lambda: CONTENT), CONTENT)
    again = stored("a", never)
    assert isinstance(again, np.memmap)
    assert np.array_equal(again, CONTENT)
    assert [file.name for file in folder.iterdir()] == ["a.npy"]


def test_what_is_written_to_it_stays_in_this_process(folder):
    stored("a", lambda: CONTENT)[:] = 0
    assert np.array_equal(stored("a", never), CONTENT)


@pytest.mark.parametrize("size", [0, 7, 140])
def test_a_file_that_is_cut_off_is_made_anew(folder, size):
    stored("a", lambda: CONTENT)
    whole = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(whole[:size])
    assert np.array_equal(stored("a", lambda: CONTENT), CONTENT)
    assert (folder / "a.npy").read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_told(monkeypatch):
    monkeypatch.setenv("AUTOLORA_CACHE", "/dev/null/cache")
    with pytest.raises(StorageUnavailable, match="cannot be written"):
        stored("a", lambda: CONTENT)
