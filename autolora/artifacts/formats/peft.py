"""PEFT's LoRA format, written so that every loader reads the same adapter.

The scale is folded into `lora_B` and alpha equals the rank everywhere, so a loader that ignores
`alpha_pattern` is right all the same. Patterns are escaped and anchored. What PEFT would read
wrongly or not at all goes into a second file of ours.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter, read_tensors
from autolora.artifacts.formats import Written
from autolora.artifacts.formats.autolora import pair, read_file, read_json, read_pair
from autolora.artifacts.peft_read import PREFIX, check_config, parse, same_in_peft
from autolora.errors import AdapterFile
from autolora.lora.targets import Target

MARK = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
EXTRA, EXTRA_TENSORS = "autolora_extra.json", "autolora_extra.safetensors"
FILES = (MARK, TENSORS, EXTRA, EXTRA_TENSORS)
# What PEFT says it has not found when no target is one it knows.
_NOTHING = "(?!)PEFT can express no target of this adapter; load it with autolora.load"

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
    inside = {
        name
        for name, target in adapter.targets.items()
        if target.layer and expressible(adapter.layers[target.layer]) and not _in(heads, target)
    }
    if not inside:  # PEFT refuses an adapter that has a head alone
        heads, loose = [], set(adapter.full)
    rest = _part(adapter, set(adapter.targets) - inside, loose)
    tensors = _tensors(_part(adapter, inside, set(adapter.full) - loose))
    content = save_tensors(tensors, {"format": "pt"})
    # Always there: it carries the fingerprint of the base, which PEFT has no place for.
    extra = pair(rest, EXTRA, EXTRA_TENSORS, beside={TENSORS: _digest(content)})
    config = json.dumps(_config(adapter, inside, heads), indent=1).encode()
    return Written(
        {MARK: config, TENSORS: content, **extra}, beside=(*rest.targets, *sorted(loose))
    )


def read(folder: Path, model: nn.Module) -> Adapter:
    """The adapter of a folder that PEFT or we wrote.

    Raises:
        AdapterFile: if it is no plain LoRA, or a file is cut off.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    config = read_json(folder / MARK)
    check_config(config, str(folder / MARK))
    content = read_file(folder / TENSORS)
    adapter = parse(
        config, read_tensors(content, str(folder / TENSORS)), model, str(folder / TENSORS)
    )
    if not (folder / EXTRA).exists():
        return adapter
    rest = read_pair(folder, EXTRA, EXTRA_TENSORS)
    if read_json(folder / EXTRA).get("beside") != {TENSORS: _digest(content)}:
        raise AdapterFile(folder / EXTRA, f"it was not written with the {TENSORS} beside it")
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

    PEFT 0.21 adapts some convolutions otherwise, and is bypassed where a parent reads the weight.
    """
    if layer["tied"] or layer["owner"] in _BYPASSES:
        return False
    if layer["type"] in _CONV:
        # Its merge takes a kernel for pointwise that is 1 in the first two dimensions alone.
        square = len(layer["kernel_size"]) < 3 or set(layer["kernel_size"][:2]) != {1}
        return square and same_in_peft(layer)
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
        "target_modules": "|".join(re.escape(path) for path in ranks) or _NOTHING,
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
    tensors = {f"{PREFIX}{name}": value.contiguous() for name, value in adapter.full.items()}
    for name, target in adapter.targets.items():
        up, down = adapter.factors[name]
        path, scaled = PREFIX + target.layer, up * adapter.scales[name]
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


def _split_full(adapter: Adapter) -> tuple[list[str], set[str]]:
    """Modules that PEFT can save whole, and parameters that it would place wrongly.

    PEFT finds `modules_to_save` by the end of their path, copies them, and so unties them.
    """
    owners = {name.rpartition(".")[0] for name in adapter.full}
    names = [*(adapter.base.parameters if adapter.base else ()), *adapter.full]
    paths = {path for name in names for path in _above(name)}
    good = {
        head
        for head in owners
        if head
        and not adapter.layers.get(head, {}).get("tied")
        and not any(path != head and path.endswith(head) for path in paths)
        and not any(other != head and f"{other}.".startswith(f"{head}.") for other in paths)
    }
    loose = {name for name in adapter.full if name.rpartition(".")[0] not in good}
    return sorted(good), loose


def _above(name: str) -> list[str]:
    """Every module on the way to a parameter."""
    parts = name.split(".")[:-1]
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _in(heads: list[str], target: Target) -> bool:
    """Whether a target lies in a module that PEFT saves whole, where it cannot adapt."""
    return any(f"{target.layer}.".startswith(f"{head}.") for head in heads)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _part(adapter: Adapter, names: set[str], full: set[str]) -> Adapter:
    """The adapter with some of its targets and parameters only."""
    return replace(
        adapter,
        targets={n: t for n, t in adapter.targets.items() if n in names},
        factors={n: f for n, f in adapter.factors.items() if n in names},
        scales={n: s for n, s in adapter.scales.items() if n in names},
        full={n: v for n, v in adapter.full.items() if n in full},
    )
