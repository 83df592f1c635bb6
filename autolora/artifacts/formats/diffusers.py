"""The file that diffusers' pipelines load.

The scale is folded into `lora_B`: without further notes diffusers takes alpha for the rank of each
layer.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from autolora.artifacts import peft_read, pipeline
from autolora.artifacts.adapter import Adapter
from autolora.artifacts.factors import Pair
from autolora.artifacts.formats import Written
from autolora.artifacts.kohya_names import is_kohya, parse_kohya
from autolora.artifacts.pairs import EXTRA
from autolora.artifacts.peft_config import Scale, check_config, scales
from autolora.artifacts.reading import metadata, parse_json
from autolora.errors import AdapterFile

MARK = "pytorch_lora_weights.safetensors"
FILES = (MARK, *EXTRA)


def write(adapter: Adapter) -> Written:
    """`pytorch_lora_weights.safetensors`, and a second pair."""
    # It looks ranks up by regular expressions with the dots unescaped.
    return pipeline.written(adapter, MARK, _tensors, clash=lambda path: path.replace("_", "."))


def read(folder: Path, model: nn.Module) -> Adapter:
    """The adapter of a folder that diffusers or we wrote; kohya's names are read, too.

    Raises:
        AdapterFile: if the file is cut off, or means something that we cannot repeat.
        NotPlainLora: if it is another method's.
        ManyComponents: if it adapts several models and the model is one of them.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    return pipeline.read_folder(folder, model, MARK, _parse)


def _tensors(pairs: Mapping[str, Pair], adapter: Adapter) -> dict[str, Tensor]:
    layers = {pipeline.in_pipeline(adapter, path): layer for path, layer in adapter.layers.items()}
    tensors: dict[str, Tensor] = {}
    for path, pair in pairs.items():
        a, b = pipeline.shaped(pair, layers[path].get("kernel_size", ()))
        tensors |= {f"{path}.lora_A.weight": a, f"{path}.lora_B.weight": b}
    return tensors


def _parse(content: bytes, tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> Adapter:
    if is_kohya(tensors):
        return parse_kohya(tensors, model, source)
    layers = pipeline.on_model(model, {key.partition(".lora_")[0] for key in tensors}, source)
    renamed = {}
    for key, value in tensors.items():
        path, lora, half = key.partition(".lora_")
        if not lora:
            raise AdapterFile(source, f"it holds {key}, which is no factor")
        renamed[f"{layers[path]}.lora_{half}"] = value
    return peft_read.parse(renamed, model, source, scale=_scale(content, tensors, source))


def _scale(content: bytes, tensors: Mapping[str, Tensor], source: str) -> Scale:
    """What the file notes of PEFT's configuration; without it alpha is each layer's own rank."""
    noted = metadata(content, source).get("lora_adapter_metadata")
    if not noted:
        return lambda _name, _rank: 1.0
    component = next(iter(tensors)).partition(".")[0]
    config = {
        key.removeprefix(f"{component}."): value
        for key, value in parse_json(noted, source).items()
        if key.startswith(f"{component}.")
    }
    check_config({"peft_type": "LORA", **config}, source)
    return scales(config, source)
