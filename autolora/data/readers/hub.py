"""Data sets of the Hugging Face hub, and folders that `save_to_disk` of datasets wrote."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autolora.data.places import SPLIT_NAMES, written_by_datasets
from autolora.data.quiet import quiet_hub
from autolora.data.table import Table
from autolora.errors import DataUnreachable, MissingExtra, NoExamples, UnreadableData

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

SUFFIXES = ("hub:owner/name[/configuration][#split]",)

_PREFIX = "hub:"
_NAME = re.compile(r"(?P<name>[^/#]+/[^/#]+)(/(?P<configuration>[^/#]+))?(#(?P<split>[^#]+))?")


def reads(where: str) -> bool:
    """Whether a place is on the hub, or a folder that datasets wrote."""
    return where.startswith(_PREFIX) or written_by_datasets(Path(where))


def read(where: str) -> Table | Mapping[str, Table]:
    """The splits of a data set, or its one table; classes are named, media stay encoded.

    Of its splits those that are called train, valid(ation), val, dev and test are read.

    Raises:
        MissingExtra: if datasets is not installed.
        DataUnreachable: if the hub does not have it or cannot be reached.
        UnreadableData: if a folder is not what datasets wrote.
        NoExamples: if a split has no row.
    """
    found = _fetched(where) if where.startswith(_PREFIX) else _saved(where)
    if not isinstance(found, dict):
        return _table(found, where)
    return {
        SPLIT_NAMES[name]: _table(each, f"{where}#{name}")
        for name, each in found.items()
        if name in SPLIT_NAMES
    }


def _fetched(where: str) -> "Dataset | DatasetDict":
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise MissingExtra("a data set of the hub", "datasets", "data") from error
    parts = _NAME.fullmatch(where.removeprefix(_PREFIX))
    if parts is None:
        raise DataUnreachable(where, "a name is written hub:owner/name[/configuration][#split]")
    try:
        with quiet_hub():
            return load_dataset(parts["name"], parts["configuration"], split=parts["split"])
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise DataUnreachable(where, str(error)) from error


def _saved(where: str) -> "Dataset | DatasetDict":
    try:
        from datasets import load_from_disk
        from pyarrow import ArrowException
    except ImportError as error:
        raise MissingExtra("a folder that datasets wrote", "datasets", "data") from error
    try:
        return load_from_disk(where)
    except (OSError, ValueError, KeyError, TypeError, ArrowException) as error:
        raise UnreadableData(where, str(error)) from error


def _table(found: "Dataset", source: str) -> Table:
    from datasets import Audio, Image

    if not len(found):
        raise NoExamples(source)
    for name, feature in found.features.items():
        if isinstance(feature, Audio | Image):
            found = found.cast_column(name, type(feature)(decode=False))
    columns = {
        name: [_named(value, feature) for value in found[name]]
        for name, feature in found.features.items()
    }
    return Table(columns, source)


def _named(value: Any, feature: Any) -> Any:
    """A value with names for the numbers of classes; -1 is how the hub writes no class."""
    from datasets import ClassLabel

    if isinstance(value, list) and hasattr(feature, "feature"):
        return [_named(each, feature.feature) for each in value]
    if not isinstance(feature, ClassLabel) or value is None:
        return value
    return feature.int2str(value) if value >= 0 else None
