"""Parquet: columns as pandas, Spark and datasets write them."""

from pathlib import Path

from autolora.data.table import Table
from autolora.errors import MissingExtra, NoExamples, RepeatedColumn, UnreadableData

SUFFIXES = (".parquet",)


def reads(where: str) -> bool:
    """Whether a place is called a Parquet file."""
    return Path(where).suffix.lower() in SUFFIXES


def read(where: str) -> Table:
    """The rows of a file, as Python values.

    Raises:
        MissingExtra: if pyarrow is not installed.
        NoExamples: if there is no row.
        RepeatedColumn: if two columns have one name.
        UnreadableData: if it is no Parquet file.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtra("a Parquet file", "pyarrow", "data") from error
    path = Path(where)
    try:
        found = ParquetFile(path).read()
    except (OSError, ArrowException) as error:
        raise UnreadableData(path, str(error)) from error
    names = found.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RepeatedColumn(where, twice)
    if not len(found):
        raise NoExamples(where)
    return Table(found.to_pydict(), where, path.parent)
