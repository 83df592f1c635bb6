"""PEFT's LoRA format, written so that every loader reads the same adapter.

The scale is folded into `lora_B` and alpha equals the rank everywhere, so a loader that ignores
`alpha_pattern` is right all the same. Patterns are escaped and anchored. What PEFT would read
wrongly or not at all goes into a second file of ours.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter, describe, read_tensors
from autolora.artifacts.formats import Written
from autolora.artifacts.formats.autolora import pair, read_file, read_json, read_pair
from autolora.errors import AdapterFile, NoSuchTarget
from autolora.lora.targets import Target, targets
from autolora.registry import nearest

MARK = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
EXTRA, EXTRA_TENSORS = "autolora_extra.json", "autolora_extra.safetensors"
_PREFIX = "base_model.model."

_LINEAR = "torch.nn.modules.linear.Linear"
_EMBEDDING = "torch.nn.modules.sparse.Embedding"
_CONV = tuple(f"torch.nn.modules.conv.Conv{n}d" for n in (1, 2, 3))
# Their fused evaluation path reads weights and never calls the layers that PEFT puts inside.
_BYPASSES = (
    "torch.nn.modules.transformer.TransformerEncoderLayer",
    "torch.nn.modules.activation.MultiheadAttention",
)


def write(adapter: Adapter) -> Written:
    """`adapter_config.json` and `adapter_model.safetensors`, and a second pair if need be."""
    heads, loose = _split_full(adapter)
    inside = {n for n, t in adapter.targets.items() if expressible(adapter.layers[t.layer])}
    rest = _part(adapter, set(adapter.targets) - inside, loose)
    tensors = _tensors(_part(adapter, inside, set(adapter.full) - loose))
    files = {
        MARK: json.dumps(_config(adapter, inside, heads), indent=1).encode(),
        TENSORS: save_tensors(tensors, {"format": "pt"}),
        # Always there: it carries the fingerprint of the base, which PEFT has no place for.
        **pair(rest, EXTRA, EXTRA_TENSORS),
    }
    return Written(files, beside=(*rest.targets, *sorted(loose)))


def read(folder: Path, model: nn.Module) -> Adapter:
    """The adapter of a folder that PEFT or we wrote.

    Raises:
        AdapterFile: if it is no plain LoRA, or a file is cut off.
        NoSuchTarget: if the model lacks a layer.
    """
    config = read_json(folder / MARK)
    for key, right in (("peft_type", "LORA"), ("use_dora", False), ("bias", "none")):
        if config.get(key, right) != right:
            raise AdapterFile(folder / MARK, f"{key} is {config[key]!r}; only {right!r} is read")
    tensors = read_tensors(read_file(folder / TENSORS), str(folder / TENSORS))
    adapter = _from_tensors(config, tensors, model, str(folder / TENSORS))
    if not (folder / EXTRA).exists():
        return adapter
    rest = read_pair(folder, EXTRA, EXTRA_TENSORS)
    return replace(
        adapter,
        targets={**adapter.targets, **rest.targets},
        factors={**adapter.factors, **rest.factors},
        scales={**adapter.scales, **rest.scales},
        full={**adapter.full, **rest.full},
        layers={**adapter.layers, **rest.layers},
        base=rest.base,
        about=rest.about,
    )


def expressible(layer: Mapping[str, Any]) -> bool:
    """Whether PEFT adapts a layer of this description as we do.

    PEFT 0.21 forgets dilation and padding mode of a convolution, lets grouped ones leak, and is
    bypassed where a parent reads the weight.
    """
    if layer["tied"] or layer["owner"] in _BYPASSES:
        return False
    if layer["type"] in _CONV:
        plain = layer["groups"] == 1 and set(layer["dilation"]) == {1}
        # Its merge takes a kernel for pointwise that is 1 in the first two dimensions alone.
        square = len(layer["kernel_size"]) < 3 or set(layer["kernel_size"][:2]) != {1}
        return plain and square and layer["padding_mode"] == "zeros"
    return layer["type"] in (_LINEAR, _EMBEDDING)


def _config(adapter: Adapter, inside: set[str], heads: list[str]) -> dict[str, Any]:
    ranks = {adapter.targets[n].layer: adapter.allocation[n] for n in sorted(inside)}
    highest = max(ranks.values(), default=1)
    pattern = {f"^{re.escape(path)}": r for path, r in ranks.items() if r != highest}
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": adapter.about.get("base_model"),
        "r": highest,
        "lora_alpha": highest,
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "target_modules": "|".join(re.escape(path) for path in ranks) or "(?!)",
        "modules_to_save": heads or None,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }


def _tensors(adapter: Adapter) -> dict[str, Tensor]:
    tensors = {f"{_PREFIX}{name}": value.contiguous() for name, value in adapter.full.items()}
    for name, target in adapter.targets.items():
        up, down = adapter.factors[name]
        path, scaled = _PREFIX + target.layer, up * adapter.scales[name]
        layer = adapter.layers[target.layer]
        if layer["type"] == _EMBEDDING:
            tensors[f"{path}.lora_embedding_A"] = scaled.T.contiguous()
            tensors[f"{path}.lora_embedding_B"] = down.T.contiguous()
            continue
        kernel = tuple(layer.get("kernel_size", ()))
        tensors[f"{path}.lora_A.weight"] = down.reshape(len(down), -1, *kernel).contiguous()
        tensors[f"{path}.lora_B.weight"] = scaled.reshape(
            *up.shape, *(1,) * len(kernel)
        ).contiguous()
    return tensors


def _from_tensors(
    config: Mapping[str, Any], tensors: dict[str, Tensor], model: nn.Module, source: str
) -> Adapter:
    known = {target.layer: target for target in targets(model) if target.block is None}
    found: dict[str, tuple[Target, Tensor, Tensor]] = {}
    full: dict[str, Tensor] = {}
    for key, value in tensors.items():
        path, _, kind = key.removeprefix(_PREFIX).partition(".lora_")
        if not kind:
            full[path] = value
        elif kind in ("A.weight", "embedding_A"):
            if path not in known:
                raise NoSuchTarget(path, nearest(path, known))
            other = tensors.get(key.replace("_A", "_B"))
            if other is None:
                raise AdapterFile(source, f"it holds {key} without its other half")
            found[known[path].name] = (known[path], *_factors(kind, value, other))
        elif kind not in ("B.weight", "embedding_B"):
            raise AdapterFile(source, f"it holds {key}, which is no plain LoRA")
    return Adapter(
        targets={name: target for name, (target, _, _) in found.items()},
        factors={name: (up, down) for name, (_, up, down) in found.items()},
        scales={n: _scale(config, t.layer, up.shape[1]) for n, (t, up, _) in found.items()},
        full=full,
        layers={t.layer: describe(model, t.layer) for t, _, _ in found.values()},
        base=None,
    )


def _factors(kind: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`up` and `down` from PEFT's pair: an embedding's rows are its tokens, hence the swap."""
    if kind == "embedding_A":
        return a.T.contiguous(), b.T.contiguous()
    return b.flatten(1), a.flatten(1)


def _scale(config: Mapping[str, Any], path: str, rank: int) -> float:
    """Alpha / r, or alpha / √r; the first pattern that matches wins, as in PEFT."""
    alpha = config.get("lora_alpha", 8)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            alpha = value
            break
    return float(alpha / (rank**0.5 if config.get("use_rslora") else rank))


def _split_full(adapter: Adapter) -> tuple[list[str], set[str]]:
    """Modules that PEFT can save whole, and parameters that it would place wrongly.

    PEFT finds `modules_to_save` by the end of their path.
    """
    paths = {n.rpartition(".")[0] for n in [*(adapter.base.parameters if adapter.base else ())]}
    heads = {name.rpartition(".")[0] for name in adapter.full}
    good = {h for h in heads if h and not any(p != h and p.endswith(h) for p in paths | heads)}
    loose = {name for name in adapter.full if name.rpartition(".")[0] not in good}
    return sorted(good), loose


def _part(adapter: Adapter, names: set[str], full: set[str]) -> Adapter:
    """The adapter with some of its targets and parameters only."""
    return replace(
        adapter,
        targets={n: t for n, t in adapter.targets.items() if n in names},
        factors={n: f for n, f in adapter.factors.items() if n in names},
        scales={n: s for n, s in adapter.scales.items() if n in names},
        full={n: v for n, v in adapter.full.items() if n in full},
    )
