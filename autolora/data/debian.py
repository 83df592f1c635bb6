"""Packages of Debian, downloaded by apt-get: nothing is installed and no script of theirs runs."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from autolora.errors import FetchFailed


@dataclass(frozen=True)
class Debian:
    """A package of Debian in one version.

    Attributes:
        sha256: The digest of the package file.
    """

    package: str
    version: str
    sha256: str

    @property
    def origin(self) -> str:
        """What people call it."""
        return f"Debian {self.package}={self.version}"

    @property
    def file(self) -> str:
        """The name of the package file, without the epoch of the version."""
        return f"{self.package}_{self.version.rpartition(':')[2]}_all.deb"

    def download(self, asset: str, folder: Path) -> Path:
        """The package file, put into a folder.

        Raises:
            FetchFailed: if there is no apt-get here, or it cannot download the package.
        """
        if shutil.which("apt-get") is None:
            raise FetchFailed(asset, self.file, "there is no apt-get here", " with apt-get")
        ended = subprocess.run(
            ["apt-get", "download", "--quiet", f"{self.package}={self.version}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        # apt-get writes the epoch of a version into the name; mirrors leave it out.
        found = next(folder.glob(f"{self.package}_*.deb"), None)
        if ended.returncode or found is None:
            raise FetchFailed(asset, self.file, _reason(ended.stderr), " with apt-get")
        return found.rename(folder / self.file)


def _reason(said: str) -> str:
    """The first error of apt-get, and what helps if its lists of packages are missing or old."""
    errors = [line[3:].strip() for line in said.splitlines() if line.startswith("E: ")]
    first = errors[0].rstrip(".") if errors else "apt-get gave no reason"
    return f"{first} (after apt-get update it may be known)"
