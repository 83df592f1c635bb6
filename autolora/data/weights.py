"""The weights of a model in a file that the user names."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from autolora.errors import NoSuchFile, NotItsWeights


def state(path: str, model: str) -> Mapping[str, Tensor]:
    """The tensors of a file by name: safetensors, or what `torch.save` wrote of a `state_dict`.

    Raises:
        NoSuchFile: if it is not there.
        NotItsWeights: if it holds no tensors by name; `model` is whose they should be.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise NoSuchFile(path, ())
    try:
        found = _read(place)
    except Exception as error:  # a file of another kind fails in as many ways as torch unpickles
        raise NotItsWeights(path, model, "it cannot be read as weights") from error
    if not isinstance(found, Mapping):
        raise NotItsWeights(path, model, f"it holds a {type(found).__name__}")
    return found


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
