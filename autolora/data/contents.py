"""What examples hold, as digests: by them copies are found and data are told apart."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from autolora.data.table import Table


def digests(table: Table) -> Mapping[str, list[bytes]]:
    """The SHA-256 of every value, by role; of a file it is that of its bytes."""
    return {role: [_digest(v) for v in values] for role, values in table.columns.items()}


def joined(values: Mapping[str, list[bytes]], roles: tuple[str, ...]) -> list[bytes]:
    """One digest for each row, of some of its roles.

    >>> a, b = joined({"text": [b"1", b"1"], "label": [b"x", b"y"]}, ("text",))
    >>> a == b
    True
    """
    rows = zip(*(values[role] for role in roles), strict=True)
    return [hashlib.sha256(b"".join(row)).digest() for row in rows]


def identity(splits: Mapping[str, Sequence[bytes]], roles: tuple[str, ...]) -> dict[str, Any]:
    """Plain data that tell data apart: roles, contents, which split an example is in, its place."""
    return {
        "roles": list(roles),
        "splits": {
            name: {"examples": len(rows), "sha256": hashlib.sha256(b"".join(rows)).hexdigest()}
            for name, rows in splits.items()
        },
    }


@singledispatch
def _digest(value: Any) -> bytes:
    """Of texts and numbers: their type counts, as "1" is not 1."""
    return hashlib.sha256(f"{type(value).__name__}:{value}".encode()).digest()


@_digest.register
def _of_list(value: tuple) -> bytes:  # type: ignore[type-arg]  # singledispatch wants the class
    return hashlib.sha256(b"".join(map(_digest, value)) + b"list").digest()


@_digest.register
def _of_file(value: Path) -> bytes:
    with value.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@_digest.register
def _of_pixels(value: np.ndarray) -> bytes:
    return hashlib.sha256(f"{value.shape}".encode() + value.tobytes()).digest()
