"""The single file of kohya's trainer, which most programs for images read.

The scale is folded into `lora_up`, with one alpha for all layers: where they differ, diffusers
0.42 loses those of attention and scales such layers by another's.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from autolora.artifacts import pipeline
from autolora.artifacts.adapter import Adapter
from autolora.artifacts.factors import Pair
from autolora.artifacts.formats import Written
from autolora.artifacts.kohya_names import kohya_name, parse_kohya
from autolora.artifacts.pairs import EXTRA

MARK = "kohya.safetensors"
FILES = (MARK, *EXTRA)


def write(adapter: Adapter) -> Written:
    """`kohya.safetensors`, and a second pair."""
    return pipeline.written(adapter, MARK, _tensors, clash=partial(kohya_name, several=True))


def read(folder: Path, model: nn.Module) -> Adapter:
    """The adapter of a folder that holds a file of kohya's or ours under that name.

    Raises:
        AdapterFile: if the file is cut off, or a name is that of two layers.
        NotPlainLora: if it is another method's.
        ManyComponents: if it adapts several models and the model is one of them.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    return pipeline.read_folder(folder, model, MARK, _parse)


def _tensors(pairs: Mapping[str, Pair], adapter: Adapter) -> dict[str, Tensor]:
    layers = {pipeline.in_pipeline(adapter, path): layer for path, layer in adapter.layers.items()}
    several = any(path.startswith("text_encoder_2.") for path in pairs)
    highest = max((up.shape[1] for up, _ in pairs.values()), default=1)
    tensors: dict[str, Tensor] = {}
    for path, (up, down) in pairs.items():
        name = kohya_name(path, several)
        scaled = up * (up.shape[1] / highest)  # undone by alpha / rank
        first, second = pipeline.shaped((scaled, down), layers[path].get("kernel_size", ()))
        tensors |= {f"{name}.lora_down.weight": first, f"{name}.lora_up.weight": second}
        tensors[f"{name}.alpha"] = torch.tensor(float(highest))
    return tensors


def _parse(content: bytes, tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> Adapter:
    del content
    return parse_kohya(tensors, model, source)
