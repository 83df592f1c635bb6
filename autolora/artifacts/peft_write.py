"""An adapter as PEFT's two files.

The scale is folded into `lora_B` and alpha equals the rank everywhere, so a loader that ignores
`alpha_pattern` is right all the same. Patterns are escaped and anchored. What PEFT would read
wrongly or not at all goes into a second file of ours.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from safetensors.torch import save as save_tensors
from torch import Tensor

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.factors import Pair, joined, padded
from autolora.artifacts.formats import Written
from autolora.artifacts.pairs import extra, part
from autolora.artifacts.peft_read import PREFIX
from autolora.artifacts.places import Place, is_embedding, of_attention, of_parameters, way
from autolora.lora import layout
from autolora.lora.targets import Target

MARK = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
# What PEFT says it has not found when no target is one it knows.
_NOTHING = "(?!)PEFT can express no target of this adapter; load it with autolora.load"


def written(adapter: Adapter, *, uniform: bool = False) -> Written:
    """PEFT's two files, and a second pair of ours.

    Args:
        adapter: What to write.
        uniform: Whether every pair is padded with zeros to one rank, so that a loader that knows
            no patterns reads it right.
    """
    heads, loose = _split_full(adapter)
    inside = {name for name in expressible(adapter) if not _touch(heads, adapter.targets[name])}
    if not inside:  # PEFT refuses an adapter that has a head alone
        heads, loose = [], set(adapter.full)
    mine = part(adapter, inside, set(adapter.full) - loose)
    pairs = _pairs(mine, uniform=uniform)
    tensors = {f"{PREFIX}{name}": value.contiguous() for name, value in mine.full.items()}
    for place, pair in pairs.items():
        tensors.update(_tensors(mine.layers[place.layer], place, pair))
    content = save_tensors(tensors, {"format": "pt"})
    rest = part(adapter, set(adapter.targets) - inside, loose)
    config = _config(pairs, heads, adapter)
    files = {MARK: json.dumps(config, indent=1).encode(), TENSORS: content}
    files |= extra(rest, TENSORS, content)
    return Written(files, beside=(*rest.targets, *sorted(loose)))


def expressible(adapter: Adapter) -> set[str]:
    """The targets that PEFT adapts as we do."""
    # Parameters are found by the end of their path, and nested by all that are found.
    ends = {path.partition(".")[2] for path in _paths(adapter)}
    while longer := {end.partition(".")[2] for end in ends} - ends:
        ends |= longer
    ways = {
        name: way(adapter.layers.get(target.layer, {}), target)
        for name, target in adapter.targets.items()
        if target.layer
    }
    return {
        name
        for name, found in ways.items()
        if found and not (found == "parameter" and adapter.targets[name].layer in ends)
    }


def _touch(heads: Iterable[str], target: Target) -> bool:
    """Whether a layer lies in a module that PEFT saves whole, where it cannot adapt, or around."""
    path = f"{target.layer}."
    return any(path.startswith(f"{head}.") or f"{head}.".startswith(path) for head in heads)


def _pairs(adapter: Adapter, *, uniform: bool) -> dict[Place, Pair]:
    """One pair for each place, of the ranks that the file will have.

    PEFT says of the pattern of a parameter that it was ignored, which is not so; to spare people
    that, a pair of a parameter has the rank that needs no pattern.

    Shapes: up (copies, rows, rank); down (copies, rank, columns).
    """
    chosen: dict[str, set[str]] = {}
    for target in adapter.targets.values():
        chosen.setdefault(target.layer, set()).add(target.parameter)
    parts: dict[Place, list[tuple[Target, Pair]]] = {}
    for name, target in adapter.targets.items():
        (up, down), scale = adapter.factors[name], adapter.scales[name]
        place = _place(adapter, target, chosen[target.layer])
        parts.setdefault(place, []).append((target, (up * scale, down)))
    pairs = {place: joined(p, place.copies, _rows(adapter, p[0][0])) for place, p in parts.items()}
    highest = max((up.shape[-1] for up, _ in pairs.values()), default=1)
    even = {p: padded(pair, highest) for p, pair in pairs.items() if uniform or p.whole}
    return {**pairs, **even}


def _place(adapter: Adapter, target: Target, chosen: Collection[str]) -> Place:
    """Where PEFT keeps the factors of a target that it can express."""
    path, layer = target.layer, adapter.layers[target.layer]
    by = way(layer, target)
    if by == "attention":
        return of_attention(path)[0]
    if by == "layer":
        return Place(path, path, path, target.parameter)
    turned = bool(layer.get("is_transposed"))
    places = of_parameters(path, layer["parameters"], chosen, swapped=turned)
    return next(place for place in places if place.parameter == target.parameter)


def _rows(adapter: Adapter, target: Target) -> int:
    """Rows of one copy of the parameter of a target."""
    shape = dict(adapter.layers[target.layer]["parameters"])[target.parameter]
    return int(shape[1] if target.layout == "stacked" else layout.size(shape, target.layout)[0])


def _tensors(layer: Mapping[str, Any], place: Place, pair: Pair) -> dict[str, Tensor]:
    """A pair under PEFT's keys: of experts, the expert is slowest in A and fastest in B."""
    up, down = (pair[1].mT, pair[0].mT) if place.swapped else pair
    path, rank = PREFIX + place.key, up.shape[-1] * place.copies
    if is_embedding(layer):
        return {
            f"{path}.lora_embedding_A": up[0].T.contiguous(),
            f"{path}.lora_embedding_B": down[0].T.contiguous(),
        }
    kernel = tuple(layer.get("kernel_size", ()))
    a = down.reshape(rank, -1, *kernel)
    b = up.permute(1, 2, 0).flatten(1)
    halves = {"": (a, b.reshape(*b.shape, *(1,) * len(kernel)))}
    if place.parameter == "in_proj_weight":  # PEFT looks for a pair of the output, too
        width = a.shape[1]
        halves[".base_layer.out_proj"] = a.new_zeros(rank, width), b.new_zeros(width, rank)
    return {
        f"{path}{inner}.lora_{side}.weight": value.contiguous()
        for inner, pair_ in halves.items()
        for side, value in zip("AB", pair_, strict=True)
    }


def _config(pairs: Mapping[Place, Pair], heads: list[str], adapter: Adapter) -> dict[str, Any]:
    ranks = {place.name: up.shape[-1] for place, (up, _) in pairs.items()}
    highest = max(ranks.values(), default=1)
    pattern = {f"^{re.escape(name)}": r for name, r in ranks.items() if r != highest}
    parameters = sorted(place.name for place in pairs if place.whole)
    layers = sorted({place.name for place in pairs} - set(parameters))
    kinds = {adapter.layers[layer]["type"] for layer in layers}
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": adapter.about.get("base_model"),
        "r": highest,
        "lora_alpha": highest,
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "target_modules": _modules(layers, parameters),
        "target_parameters": parameters or None,
        "modules_to_save": heads or None,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": kinds == {"transformers.pytorch_utils.Conv1D"},
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }


def _modules(layers: list[str], parameters: list[str]) -> str | list[str]:
    if not layers:
        return [] if parameters else _NOTHING
    return "|".join(re.escape(path) for path in layers)


def _split_full(adapter: Adapter) -> tuple[list[str], set[str]]:
    """Modules that PEFT can save whole, and parameters that it would place wrongly.

    PEFT finds `modules_to_save` by the end of their path, copies them, and so unties them.
    """
    owners = {name.rpartition(".")[0] for name in adapter.full}
    paths = _paths(adapter)
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


def _paths(adapter: Adapter) -> set[str]:
    """Every module on the way to a parameter of the model."""
    names = [*(adapter.base.parameters if adapter.base else ()), *adapter.full]
    parts = [name.split(".")[:-1] for name in names]
    return {".".join(p[: i + 1]) for p in parts for i in range(len(p))}
