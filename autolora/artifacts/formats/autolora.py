"""Our own format: factors in safetensors, everything else in JSON beside them."""

from pathlib import Path

from torch import nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.formats import Written
from autolora.artifacts.pairs import pair, read_pair
from autolora.artifacts.reading import room

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
    return read_pair(folder, MARK, TENSORS, room(model))
