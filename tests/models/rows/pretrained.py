"""The pretrained models that autolora builds by name."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from whole import Row

from autolora.data.models import MODELS, whisper_tiny_en


def _images() -> Mapping[str, Any]:
    return {"x": torch.randn(2, 3, 48, 48)}


def _sentences() -> Mapping[str, Any]:
    tokens = torch.tensor([[101, 1037, 4937, 2938, 102, 0], [101, 3899, 2015, 6869, 1012, 102]])
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long()}


def _recordings() -> Mapping[str, Any]:
    return {"mel": torch.randn(2, 30, 40).exp()}


def _speech() -> Mapping[str, Any]:
    return {
        "input_features": torch.randn(1, 80, 200),
        "decoder_input_ids": torch.tensor([[50257, 50362, 383, 3797, 3332]]),
        "use_cache": False,
    }


def _prompt() -> Mapping[str, Any]:
    return {"input_ids": torch.tensor([[504, 3575, 282, 4649]]), "use_cache": False}


def _smollm2() -> nn.Module:
    """With torch's norm: transformers' own rounds to float32, whatever the model's precision."""
    model = MODELS["smollm2"]()
    for path, norm in list(model.named_modules()):
        if type(norm).__name__ == "LlamaRMSNorm":
            same = nn.RMSNorm(norm.weight.shape, norm.variance_epsilon)
            same.weight = norm.weight
            model.set_submodule(path, same)
    return model


QUICK = (
    Row("mobilenet_v2", MODELS["mobilenet_v2"], _images),
    Row("resemblyzer", MODELS["resemblyzer"], _recordings),
)
SLOW = (
    Row("minilm", MODELS["minilm"], _sentences),
    Row("whisper_tiny_en", partial(whisper_tiny_en, seconds=2), _speech),
    Row("smollm2", _smollm2, _prompt),
)
