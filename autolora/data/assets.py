"""Models and data that come as files inside archives: fetched, verified, read, never imported.

`assets.json` is the lock file: what is not byte for byte what it names is refused.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from autolora.data.archives import Member, members
from autolora.data.origins import SOURCES, Source
from autolora.data.placing import check, digest, file_digest, put
from autolora.errors import NoMirrorFolder, UnknownAsset
from autolora.registry import nearest


@dataclass(frozen=True)
class Asset:
    """Files of one folder of an archive, and the digest that they must have.

    Attributes:
        source: The archive.
        folder: Where in the archive the files lie.
        files: Their names or patterns; a first name without * is what `fetch` gives.
        sha256: The digest of the file; of several, that of their list as `sha256sum` prints it,
            sorted by name.

    Units: `bytes` is the size of the files together, not of the archive.
    """

    name: str
    about: str
    source: Source
    folder: str
    files: tuple[str, ...]
    sha256: str
    bytes: int
    licence: str


@cache
def assets() -> tuple[Asset, ...]:
    """The assets of the lock file.

    >>> [asset.name for asset in assets()][:3]
    ['mobilenet_v2', 'digits', 'minilm']
    """
    lock = files(__package__).joinpath("assets.json").read_text(encoding="utf-8")
    return tuple(_asset(entry) for entry in json.loads(lock))


def _asset(entry: Mapping[str, Any]) -> Asset:
    source = dict(entry["source"])
    kind = SOURCES[source.pop("kind")]
    return Asset(**{**entry, "source": kind(**source), "files": tuple(entry["files"])})


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
    """Where the folder of an asset lies once it is fetched."""
    return cache_folder() / "assets" / asset.sha256[:16]


def fetch(name: str) -> Path:
    """The first file of an asset, verified; of an asset of patterns, its folder.

    Raises: as `folder`.
    """
    first = find(name).files[0]
    return folder(name) if "*" in first else folder(name) / first


def folder(name: str) -> Path:
    """The verified files of an asset: from the cache, a mirror folder, or its source.

    AUTOLORA_ASSETS names a folder that is asked before the network: it holds archives, or the
    files themselves. Processes may fetch the same asset at once: each puts a whole folder in place.

    Raises:
        UnknownAsset: if there is no asset of that name.
        NoMirrorFolder: if AUTOLORA_ASSETS names no folder.
        AssetDamaged: if what the mirror or the source holds is not what the lock file names.
        FetchFailed: if the archive cannot be downloaded.
        StorageUnavailable: if the cache cannot be written.
    """
    asset = find(name)
    place = cached(asset)
    if digest(place) != asset.sha256 and not _from_mirror(asset, place):
        with tempfile.TemporaryDirectory(prefix="autolora-") as downloads:
            archive = asset.source.download(asset.name, Path(downloads))
            if asset.source.sha256:
                check(file_digest(archive), asset.source.sha256, archive.name)
            put(place, _inside(archive, asset), asset.sha256, archive.name)
    return place


def verify(name: str) -> bool:
    """Whether an asset is fetched; one that is there is checked against its digest.

    Raises:
        UnknownAsset: if there is no asset of that name.
        AssetDamaged: if the cached files are not what the lock file names.
    """
    asset = find(name)
    place = cached(asset)
    if not place.is_dir():
        return False
    check(digest(place), asset.sha256, place)
    return True


def _from_mirror(asset: Asset, place: Path) -> bool:
    """Whether the mirror folder has the asset; False without a mirror."""
    named = os.environ.get("AUTOLORA_ASSETS")
    if not named:
        return False
    mirror = Path(named).expanduser()
    if not mirror.is_dir():
        raise NoMirrorFolder(named)
    for plain in (mirror / asset.folder, mirror):
        if all((plain / name).is_file() for name in asset.files):
            held = ((name, (plain / name).read_bytes()) for name in asset.files)
            put(place, held, asset.sha256, plain)
            return True
    archive = mirror / asset.source.file
    if asset.source.file and archive.is_file():
        put(place, _inside(archive, asset), asset.sha256, archive)
        return True
    return False


def _inside(archive: Path, asset: Asset) -> Iterator[Member]:
    """The files of an asset in an archive, which may have all it holds in one more folder."""
    for name, content in members(archive):
        _, found, below = f"/{name}".partition(f"/{asset.folder}/")
        if found and any(fnmatchcase(below, pattern) for pattern in asset.files):
            yield below, content
