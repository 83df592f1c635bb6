"""The files in an archive: a wheel or zip, a Debian package, a tar ball. Nothing is installed."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, cast

from autolora.errors import AssetDamaged

Member = tuple[str, bytes]

_HEADER = 60  # bytes before each member of an `ar` archive: name (16), …, size (10), end (2)
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, ValueError)


def members(archive: Path) -> Iterator[Member]:
    """The name and the content of every regular file, in the order of the archive.

    Links and devices are passed over.

    Raises:
        AssetDamaged: if the archive cannot be read to its end.
    """
    try:
        match archive.suffix:
            case ".whl" | ".zip":
                yield from _zipped(archive)
            case ".deb":
                with archive.open("rb") as file:
                    _to_data(file)
                    yield from _tarred(file)
            case _:
                with archive.open("rb") as file:
                    yield from _tarred(file)
    except _BROKEN as error:
        raise AssetDamaged(archive, f"it cannot be read as an archive ({error})") from error


def _zipped(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            if not entry.is_dir():
                yield entry.filename, file.read(entry)


def _tarred(file: IO[bytes]) -> Iterator[Member]:
    """The members of a tar ball that begins here, whatever compresses it."""
    with tarfile.open(fileobj=cast("Any", file), mode="r|*") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is not None:
                yield entry.name.removeprefix("./"), content.read()


def _to_data(file: BufferedReader) -> None:
    """Goes to the tar ball that holds the files of a Debian package.

    Source: deb(5): an `ar` archive of debian-binary, control.tar and data.tar.
    """
    if file.read(8) != b"!<arch>\n":
        raise ValueError("it is no Debian package")
    while len(header := file.read(_HEADER)) == _HEADER:
        if header.startswith(b"data.tar"):
            return
        size = int(header[48:58])
        file.seek(size + size % 2, 1)
    raise ValueError("it ends before its data")
