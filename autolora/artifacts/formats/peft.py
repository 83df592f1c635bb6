"""PEFT's LoRA format; see `autolora.artifacts.peft_write` for what every loader can rely on."""

from pathlib import Path

from torch import nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.formats import Written
from autolora.artifacts.pairs import EXTRA
from autolora.artifacts.peft_read import read_folder
from autolora.artifacts.peft_write import MARK, TENSORS, written

FILES = (MARK, TENSORS, *EXTRA)


def write(adapter: Adapter) -> Written:
    """`adapter_config.json` and `adapter_model.safetensors`, and a second pair."""
    return written(adapter)


def read(folder: Path, model: nn.Module) -> Adapter:
    """The adapter of a folder that PEFT or we wrote.

    Raises:
        AdapterFile: if a file is cut off, or means something that we cannot repeat.
        NotPlainLora: if it is another method's.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    return read_folder(folder, model, MARK, TENSORS)
