"""PEFT's format at one rank for all: padded with zeros, for loaders that know no patterns."""

from pathlib import Path

from torch import nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.formats import Written
from autolora.artifacts.pairs import EXTRA
from autolora.artifacts.peft_read import read_folder
from autolora.artifacts.peft_write import MARK, TENSORS, written

FILES = (MARK, TENSORS, *EXTRA)


def write(adapter: Adapter) -> Written:
    """`adapter_config.json` and `adapter_model.safetensors`, every pair at the highest rank."""
    return written(adapter, uniform=True)


def read(folder: Path, model: nn.Module) -> Adapter:
    """The adapter of a folder that PEFT or we wrote.

    Raises:
        AdapterFile: if a file is cut off, or means something that we cannot repeat.
        NotPlainLora: if it is another method's.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    return read_folder(folder, model, MARK, TENSORS)
