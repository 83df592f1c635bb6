"""SmolLM2-135M-Instruct: a small language model, out of its file of 4 bits a weight."""

import copy
from functools import cache
from importlib import import_module

import torch
from torch import nn

from autolora.data.assets import fetch
from autolora.errors import MissingExtra


def smollm2() -> nn.Module:
    """`LlamaForCausalLM` in float32 and evaluation mode; 134.5 M parameters.

    The weights are what 4 bits left of the published ones.

    Source: Ben Allal et al. 2025.

    Raises:
        MissingExtra: if transformers, accelerate or gguf is not installed.
    """
    return copy.deepcopy(_pristine())


@cache
def _pristine() -> nn.Module:
    """The base of this process."""
    try:
        # Transformers reads the file with both, and says less clearly that one is not there.
        import_module("accelerate")
        import_module("gguf")
        from transformers import LlamaForCausalLM
    except ImportError as error:
        raise MissingExtra("the model smollm2", "transformers with gguf", "text") from error
    path = fetch("smollm2")
    model: nn.Module = LlamaForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True, dtype=torch.float32
    )
    return model.eval()
