"""Our own format: factors in safetensors, everything else in JSON beside them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors
from torch import nn

from autolora.artifacts.adapter import Adapter, check_version, read_tensors
from autolora.artifacts.formats import Written
from autolora.errors import AdapterFile

MARK = "adapter.json"
TENSORS = "adapter.safetensors"
FILES = (MARK, TENSORS)


def write(adapter: Adapter) -> Written:
    """`adapter.safetensors` and `adapter.json`; the latter knows the digest of the former."""
    return Written(pair(adapter, MARK, TENSORS))


def read(folder: Path, model: nn.Module) -> Adapter:
    """The adapter of a folder.

    Raises:
        AdapterFile: if a file is missing, cut off or changed, or of a newer version.
    """
    del model
    return read_pair(folder, MARK, TENSORS)


def pair(
    adapter: Adapter, mark: str, tensors: str, beside: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """Header and tensors as two files; the header may know the digests of files beside them."""
    content = save_tensors(adapter.tensors())
    digests = {"sha256": hashlib.sha256(content).hexdigest(), "beside": beside or {}}
    header = {**adapter.header(), **digests}
    return {tensors: content, mark: json.dumps(header, indent=1).encode()}


def read_pair(folder: Path, mark: str, tensors: str) -> Adapter:
    """What `pair` wrote."""
    header = read_json(folder / mark)
    check_version(header, str(folder / mark))  # before what a newer version may have changed
    content = read_file(folder / tensors)
    parsed = read_tensors(content, str(folder / tensors))
    if hashlib.sha256(content).hexdigest() != header.get("sha256"):
        raise AdapterFile(folder / tensors, "it is not the file that its header was written for")
    return Adapter.from_parts(header, parsed, str(folder))


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        AdapterFile: if there is none.
    """
    try:
        data = json.loads(read_file(path))
    except ValueError as error:
        raise AdapterFile(path, f"it is no JSON ({error})") from error
    if not isinstance(data, dict):
        raise AdapterFile(path, "it is no JSON object")
    return data


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        AdapterFile: if it is not there.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise AdapterFile(path, "the file is missing or cannot be opened") from error
