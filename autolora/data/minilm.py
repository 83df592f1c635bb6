"""all-MiniLM-L6-v2: a small BERT whose states, averaged, tell what a sentence means."""

import copy
from functools import cache

import torch
from torch import nn

from autolora.data.assets import fetch
from autolora.data.quiet import quietly_imported
from autolora.errors import MissingExtra


def minilm() -> nn.Module:
    """The transformers model `BertModel` with its weights, in evaluation mode; 22.7 M parameters.

    Source: Reimers and Gurevych 2019; Wang et al. 2020.

    Raises:
        MissingExtra: if transformers is not installed.
    """
    return copy.deepcopy(_pristine())


@cache
def _pristine() -> nn.Module:
    """The base of this process; torch's generator stays where it was."""
    try:
        with quietly_imported():
            from transformers import BertConfig, BertModel
    except ImportError as error:
        raise MissingExtra("the model minilm", "transformers", "text") from error
    from safetensors.torch import load_file

    config = BertConfig(
        hidden_size=384, intermediate_size=1536, num_attention_heads=12, num_hidden_layers=6
    )
    weights = load_file(fetch("minilm"))
    del weights["embeddings.position_ids"]  # 0, 1, 2, …: transformers counts them itself
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = BertModel(config)
    model.load_state_dict(weights, strict=True)
    return model.eval()
