"""What a file of PEFT's says, checked against a model; what we could not repeat is refused."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.describe import describe
from autolora.artifacts.fingerprint import base_parameters
from autolora.errors import AdapterFile, NoSuchTarget, OtherBase, WrongShape
from autolora.lora.targets import Target, targets
from autolora.registry import nearest

PREFIX = "base_model.model."
LAYERS = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)

_HALF = re.compile(r"(.+)\.lora_(A\.weight|B\.weight|embedding_A|embedding_B)")
_OTHER = re.compile(r"(.+)\.(lora_B\.bias|lora_magnitude_vector.*|token_adapter\..*)")
# Each changes what the factors mean, or trains something else beside them.
_OFF = (
    "use_dora lora_bias use_qalora use_bdlora layer_replication target_parameters kasa_config "
    "trainable_token_indices alora_invocation_tokens velora_config monteclora_config arrow_config"
).split()
# On loading, PEFT runs them again and subtracts what they find from the base.
_CHANGES_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")


def check_config(config: Mapping[str, Any], source: str) -> None:
    """Makes sure that a configuration is plain LoRA.

    Raises:
        AdapterFile: naming the setting that is not.
    """
    for key, right in (("peft_type", "LORA"), ("bias", "none")):
        if config.get(key, right) != right:
            raise AdapterFile(source, f"{key} is {config[key]!r}; only {right!r} is read")
    for key in _OFF:
        if config.get(key):
            raise AdapterFile(source, f"{key} is {config[key]!r}; only plain LoRA is read")
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(_CHANGES_BASE):
        raise AdapterFile(source, f"init_lora_weights is {init!r}, which changes the base")


def parse(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], model: nn.Module, source: str
) -> Adapter:
    """The adapter that tensors under PEFT's keys make on a model.

    Raises:
        AdapterFile: if a half is missing or PEFT adapts a layer otherwise than we do.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    halves, full = _sorted_out(tensors, source)
    found: dict[str, tuple[Target, Tensor, Tensor]] = {}
    for path, pair in halves.items():
        target = _target(model, path, source)
        found[target.name] = (target, *_factors(model, target, pair, source))
    return Adapter(
        targets={name: target for name, (target, _, _) in found.items()},
        factors={name: (up, down) for name, (_, up, down) in found.items()},
        scales={n: _scale(config, t.layer, up.shape[1], source) for n, (t, up, _) in found.items()},
        full={n: value for n, value in full.items() if not _already_there(model, n, value)},
        layers={t.layer: describe(model, t.layer) for t, _, _ in found.values()},
        base=None,
    )


Halves = dict[str, dict[str, Tensor]]


def _sorted_out(tensors: Mapping[str, Tensor], source: str) -> tuple[Halves, dict[str, Tensor]]:
    """The halves of each layer, and what was trained in full."""
    halves: Halves = {}
    full = {}
    for key, value in tensors.items():
        name = key.removeprefix(PREFIX)
        if _OTHER.fullmatch(name):
            raise AdapterFile(source, f"it holds {key}, which is no plain LoRA")
        if half := _HALF.fullmatch(name):
            halves.setdefault(half[1], {})[half[2]] = value
        else:
            full[name] = value
    return halves, full


def _target(model: nn.Module, path: str, source: str) -> Target:
    modules = dict(model.named_modules())
    known = {t.layer: t for t in targets(model) if isinstance(modules[t.layer], LAYERS)}
    path = path.partition(".base_layer")[0]  # PEFT's way of two pairs of factors in one layer
    if path not in modules:
        raise NoSuchTarget(path, nearest(path, known))
    layer = describe(model, path) if path in known else {"tied": True}
    if layer["tied"] or not same_in_peft(layer):
        kind = type(modules[path]).__name__
        raise AdapterFile(source, f"it adapts {path}, a {kind} that PEFT adapts otherwise than we")
    return known[path]


def same_in_peft(layer: Mapping[str, Any]) -> bool:
    """Whether PEFT's delta of a convolution is a change of its kernel; other layers' always is.

    PEFT 0.21 forgets dilation and padding mode, and lets groups leak.
    """
    return (
        layer.get("groups", 1) == 1
        and set(layer.get("dilation", (1,))) == {1}
        and layer.get("padding_mode", "zeros") == "zeros"
    )


def _factors(
    model: nn.Module, target: Target, pair: Mapping[str, Tensor], source: str
) -> tuple[Tensor, Tensor]:
    """`up` and `down` from PEFT's pair: an embedding's rows are its tokens, hence the swap."""
    weight = model.get_submodule(target.layer)._parameters[target.parameter]  # noqa: SLF001
    assert weight is not None
    if set(pair) == {"embedding_A", "embedding_B"}:
        up, down = pair["embedding_A"].T, pair["embedding_B"].T
    elif set(pair) == {"A.weight", "B.weight"}:
        up, down = pair["B.weight"], pair["A.weight"]
    else:
        raise AdapterFile(source, f"{target.layer} has {', '.join(pair)} without the other half")
    rank = down.shape[0] if down.ndim else 0
    if up.shape != (len(up), rank, *(1,) * (up.ndim - 2)) or not rank:
        raise AdapterFile(source, f"the halves of {target.layer} have ranks that do not fit")
    mine = (len(up), *down.shape[1:])
    if mine != tuple(weight.shape):
        raise WrongShape(target.name, mine, tuple(weight.shape))
    return up.flatten(1).contiguous(), down.flatten(1).contiguous()


def _scale(config: Mapping[str, Any], path: str, rank: int, source: str) -> float:
    """Alpha / r, or alpha / √r; the first pattern that matches wins, as in PEFT."""
    try:
        patterns = dict(config.get("alpha_pattern") or {})
        first = (p for p in patterns if re.match(rf"(.*\.)?({p})$", path))
        alpha = float(patterns.get(next(first, path), config.get("lora_alpha", 8)))
    except (TypeError, ValueError, re.error) as error:
        raise AdapterFile(source, f"its configuration gives no scale ({error})") from error
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


def _already_there(model: nn.Module, name: str, value: Tensor) -> bool:
    """Whether a value is a copy of what the model holds and does not train.

    PEFT adds the whole table of an adapted embedding and the buffers of a trained head.
    """
    plain = name.replace(".base_layer.", ".")
    parameters = base_parameters(model)
    if name in parameters:
        return False
    there = parameters.get(plain, dict(model.named_buffers()).get(plain))
    if there is None:
        raise NoSuchTarget(name, nearest(name, parameters))
    if not torch.equal(there.detach().to(value), value):
        raise OtherBase(f"{plain} has other values")
    return True
