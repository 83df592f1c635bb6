"""A folder a class: CLASS/file, or train/CLASS/file with valid and test beside it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from autolora.data.media import kind_of
from autolora.data.places import SPLIT_NAMES, written_by_datasets
from autolora.data.table import Table
from autolora.errors import NotAFolderOfClasses

SUFFIXES: tuple[str, ...] = ()


def reads(where: str) -> bool:
    """Whether a place is a folder that datasets did not write."""
    return Path(where).is_dir() and not written_by_datasets(Path(where))


def read(where: str) -> Table | Mapping[str, Table]:
    """The files of a folder with their classes, sorted; what begins with a dot is left out.

    The column of the files is called what they are: image or audio; the class is the column label.

    Raises:
        NotAFolderOfClasses: if files lie beside the classes, or there are none.
    """
    folder = Path(where).absolute()
    inside = _visible(folder)
    if inside and all(f.name in SPLIT_NAMES for f in inside):
        return {SPLIT_NAMES[f.name]: _table(f) for f in inside}
    return _table(folder)


def _table(folder: Path) -> Table:
    found: list[tuple[Path, str]] = []
    for each in _visible(folder):
        if not each.is_dir():
            raise NotAFolderOfClasses(folder, f"the file {each.name} lies outside of every class")
        found += [(file, each.name) for file in _files(each)]
    kind = next((kind for file, _ in found if (kind := kind_of(file))), None)
    if kind is None:
        raise NotAFolderOfClasses(folder, "holds no image and no sound")
    files, labels = zip(*found, strict=True)
    return Table({kind: files, "label": labels}, str(folder), folder)


def _files(folder: Path) -> Iterable[Path]:
    for each in _visible(folder):
        yield from _files(each) if each.is_dir() else (each,)


def _visible(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if not f.name.startswith("."))
