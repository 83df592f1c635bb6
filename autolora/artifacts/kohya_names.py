"""Kohya's names: a path with underscores for dots, which cannot be told apart from its own.

So names are not inverted, but looked up among those that the layers of a model would have.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.peft_read import parse
from autolora.artifacts.pipeline import COMPONENTS
from autolora.artifacts.reading import number, only_floats
from autolora.errors import AdapterFile, ManyComponents, NoSuchTarget, NotPlainLora
from autolora.lora.targets import targets
from autolora.registry import nearest

_PREFIXES = {
    "lora_unet": ("unet", "transformer"),
    "lora_te": ("text_encoder",),
    "lora_te1": ("text_encoder",),
    "lora_te2": ("text_encoder_2",),
    "lora_te3": ("text_encoder_3",),
}
_KEY = re.compile(r"([^.]+)\.(lora_down\.weight|lora_up\.weight|lora_mid\.weight|alpha)")
_OTHERS = {"hada_": "LoHa", "lokr_": "LoKr", "dora_scale": "DoRA", "oft_": "OFT", "diff": "full"}


def is_kohya(names: Iterable[str]) -> bool:
    """Whether any name is one of kohya's."""
    return any(".lora_down." in name or name.startswith("lora_unet_") for name in names)


def kohya_name(path: str, several: bool) -> str:
    """The name of a layer by its path within a pipeline.

    >>> kohya_name("unet.mid_block.attentions.0.proj_in", several=False)
    'lora_unet_mid_block_attentions_0_proj_in'
    """
    component, _, inner = path.partition(".")
    prefix = next((p for p, parts in _PREFIXES.items() if component in parts), "lora_unet")
    if several and prefix == "lora_te":
        prefix = "lora_te1"
    return f"{prefix}_{inner.replace('.', '_')}"


def parse_kohya(tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> Adapter:
    """The adapter that tensors under kohya's names make on a model.

    Raises:
        NotPlainLora: if they are another method's.
        NoSuchTarget, AdapterFile: if a name is that of no layer of the model, or of two.
        ManyComponents: if they are for several models and the model is one of them.
    """
    halves = _halves(tensors, source)
    layers = _layers(model, halves, source)
    renamed, alphas = {}, {}
    for name, half in halves.items():
        if not {"lora_down", "lora_up"} <= set(half) or not half["lora_down"].ndim:
            raise AdapterFile(source, f"{name} has {', '.join(half)} without the other half")
        path = layers[name]
        alphas[path] = _alpha(half, name, source)
        renamed[f"{path}.lora_A.weight"] = _down(half, name, source)
        renamed[f"{path}.lora_B.weight"] = half["lora_up"]
    return parse(renamed, model, source, scale=lambda path, rank: alphas[path] / rank)


def _halves(tensors: Mapping[str, Tensor], source: str) -> dict[str, dict[str, Tensor]]:
    halves: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if other := next((what for part, what in _OTHERS.items() if f".{part}" in key), None):
            raise NotPlainLora(source, f"it holds {key}, of {other}")
        if not (known := _KEY.fullmatch(key)):
            raise AdapterFile(source, f"it holds {key}, which is no factor")
        halves.setdefault(known[1], {})[known[2].partition(".")[0]] = value
    return halves


def _alpha(half: Mapping[str, Tensor], name: str, source: str) -> float:
    """The alpha of a layer; without one it is the rank."""
    alpha = half.get("alpha")
    if alpha is None:
        return float(len(half["lora_down"]))
    if alpha.numel() != 1:
        raise AdapterFile(source, f"the alpha of {name} is no number")
    return number(float(alpha), f"the alpha of {name}", source)


def _down(half: Mapping[str, Tensor], name: str, source: str) -> Tensor:
    """`down`, with the convolution that LyCORIS puts between (its Tucker form) multiplied in."""
    down, mid = half["lora_down"], half.get("lora_mid")
    if mid is None:
        return down
    only_floats({name: down, f"{name}.lora_mid": mid}, source)
    rank = len(down)
    if mid.ndim < 3 or mid.shape[:2] != (rank, rank) or down[0].numel() != down.shape[1]:
        raise AdapterFile(source, f"the three factors of {name} do not fit")
    return torch.einsum("rs...,si->ri...", mid, down.flatten(1))


def _layers(model: nn.Module, names: Iterable[str], source: str) -> dict[str, str]:
    """The layer of each name."""
    wanted = {name: _prefix(name, source) for name in names}
    paths = {target.layer for target in targets(model) if target.layer}
    bare = not any(path.partition(".")[0] in COMPONENTS for path in paths)
    if bare and len(set(wanted.values())) > 1:
        raise ManyComponents(source, ", ".join(sorted(set(wanted.values()))))
    known: dict[str, list[str]] = {}
    for path in sorted(paths):
        component, _, inner = path.partition(".")
        for prefix, parts in _PREFIXES.items():
            if bare or component in parts:
                flat = (path if bare else inner).replace(".", "_")
                known.setdefault(f"{prefix}_{flat}", []).append(path)
    for name in wanted:
        if name not in known:
            raise NoSuchTarget(name, nearest(name, known))
        if len(known[name]) > 1:
            raise AdapterFile(source, f"{name} may be {' or '.join(known[name])}")
    return {name: known[name][0] for name in wanted}


def _prefix(name: str, source: str) -> str:
    found = [prefix for prefix in _PREFIXES if name.startswith(f"{prefix}_")]
    if not found:
        raise AdapterFile(source, f"{name} begins with none of {', '.join(_PREFIXES)}")
    return found[0]
