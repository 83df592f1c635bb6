"""File formats of adapters, one file each.

A format offers `MARK` (the file that tells a folder of it), `FILES` (all that it may write),
`write(adapter) -> Written` and `read(folder, model) -> Adapter`.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

from torch import nn

from autolora.artifacts.adapter import Adapter
from autolora.registry import load, names


@dataclass(frozen=True)
class Written:
    """The files of a folder, and the targets that the format itself cannot express.

    Those are kept in a file of ours beside; other loaders do not see them.
    """

    files: dict[str, bytes]
    beside: tuple[str, ...] = ()


class Format(Protocol):
    """What a file of this folder offers."""

    MARK: str
    FILES: tuple[str, ...]

    def write(self, adapter: Adapter) -> Written:
        """The adapter as files by name."""

    def read(self, folder: Path, model: nn.Module) -> Adapter:
        """The adapter of a folder, for a model."""


def all_formats() -> dict[str, Format]:
    """Every format by name."""
    return {name: load(_here(), name) for name in names(_here())}


def _here() -> ModuleType:
    import autolora.artifacts.formats as here

    return here
