"""An adapter merged into its base: the weights of a plain model."""

from pathlib import Path

from safetensors.torch import save as save_tensors
from torch import nn

from autolora.artifacts.files import write_bytes
from autolora.artifacts.folder import load
from autolora.lora.merge import merge


def write_merged(model: nn.Module, folder: str | Path, file: Path) -> int:
    """Merges the adapter of a folder into a model and writes all its weights; gives their count.

    The file loads with `model.load_state_dict(safetensors.torch.load_file(file))`.

    Raises:
        NoAdapter, AdapterFile, OtherBase: as `load` does.
        StorageUnavailable: if the disk is full or the folder cannot be written.
    """
    if load(model, folder).factors:
        merge(model)
    # Tied weights are written once for each name: a plain loader expects every key.
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    write_bytes(file, save_tensors({n: v.contiguous() for n, v in state.items()}))
    return len(state)
