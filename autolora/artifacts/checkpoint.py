"""Foreign checkpoints: the weights of a whole model in a file, read without running any code."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from autolora.errors import CheckpointFile

_INSIDE = ("state_dict", "model_state_dict", "model")  # where training loops put the weights


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state_dict that torch.save wrote.

    Weights beside an optimiser's state are found under `state_dict`, `model_state_dict` or
    `model`.

    Raises:
        CheckpointFile: if it is missing, cut off, or holds something else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointFile(path, error.strerror or str(error)) from error
    # Archives of torch.save begin so, and its older files as every pickle does.
    saved = content.startswith((b"PK", b"\x80"))
    try:
        found = _saved(content) if saved else load_tensors(content)
    except Exception as error:
        kind = "torch.save wrote" if saved else "is a whole safetensors file"
        raise CheckpointFile(path, f"it is nothing that {kind} ({error})") from error
    tensors = _weights(found)
    if tensors is None:
        raise CheckpointFile(path, "it holds no mapping from names to tensors")
    return tensors


def _saved(content: bytes) -> Any:
    return torch.load(BytesIO(content), map_location="cpu", weights_only=True)


def _weights(found: Any) -> dict[str, Tensor] | None:
    if not isinstance(found, Mapping):
        return None
    for key in _INSIDE:
        if isinstance(found.get(key), Mapping):
            return _weights(found[key])
    named = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    return named or None  # counters and the like beside them are no weights
