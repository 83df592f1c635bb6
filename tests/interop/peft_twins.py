"""One model three times with the same deltas: as a dense sum, by autolora, by PEFT."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import MultiheadAttention as PeftAttention
from peft.tuners.lora.layer import ParamWrapper
from peft_cases import Case
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from transformers.pytorch_utils import Conv1D

import autolora

MODES = ("train", "eval", "no_grad")


class OtherShape(Exception):
    """PEFT's factors cannot hold the delta."""


@dataclass(frozen=True)
class Delta:
    """What is added to one parameter: scale · up · down, rows being outputs.

    `turned`: the parameter itself has outputs as columns.
    """

    layer: str
    parameter: str
    up: Tensor
    down: Tensor
    alpha: float
    turned: bool

    @property
    def rank(self) -> int:
        return self.up.shape[1]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def dense(self) -> Tensor:
        product = self.scale * self.up @ self.down
        return product.T if self.turned else product


def plain(case: Case) -> nn.Module:
    torch.manual_seed(0)
    return case.model().double()


def inputs_of(case: Case) -> tuple[Any, ...]:
    torch.manual_seed(1)
    made: tuple[Any, ...] = tree_map(
        lambda x: x.double() if x.is_floating_point() else x, case.inputs()
    )
    return made


def answer(model: nn.Module, case: Case, mode: str) -> list[Tensor]:
    model.train(mode == "train")
    with torch.set_grad_enabled(mode != "no_grad"):
        found = tree_leaves(model(*inputs_of(case)))
    return [leaf.detach() for leaf in found if isinstance(leaf, Tensor)]


def deltas(case: Case) -> list[Delta]:
    """Random ones for every adapted parameter; ranks and alphas differ from layer to layer."""
    model, generator = plain(case), torch.Generator().manual_seed(2)
    made = []
    for number, where in enumerate(_adapted(case, model)):
        for layer, parameter in where:
            weight = model.get_submodule(layer).get_parameter(parameter)
            turned = isinstance(model.get_submodule(layer), Conv1D)
            rows, columns = (weight.T if turned else weight.flatten(1)).shape
            rank = min(2 + number % 3, rows, columns)
            up, down = (
                torch.randn(size, generator=generator, dtype=torch.float64) / 2
                for size in ((rows, rank), (rank, columns))
            )
            silent = layer in case.silent
            made.append(Delta(layer, parameter, up * (not silent), down, 3 + number, turned))
    return made


@torch.no_grad()
def with_dense(case: Case, added: Sequence[Delta]) -> nn.Module:
    model = plain(case)
    for delta in added:
        weight = model.get_submodule(delta.layer).get_parameter(delta.parameter)
        weight += delta.dense().reshape(weight.shape)
    return model


@torch.no_grad()
def with_autolora(case: Case, added: Sequence[Delta]) -> nn.Module:
    """Packed parameters have a target for each block, whose `down` is PEFT's one."""
    model, wanted = plain(case), {(d.layer, d.parameter): d for d in added}
    chosen = [t for t in autolora.targets(model) if (t.layer, t.parameter) in wanted]
    ranks = {t.name: wanted[t.layer, t.parameter].rank for t in chosen}
    adapter = autolora.attach(model, ranks)
    assert {(t.layer, t.parameter) for t in chosen} == set(wanted)
    for target in chosen:
        delta, part = wanted[target.layer, target.parameter], adapter.factors[target.name]
        up, down = delta.up, delta.down
        if delta.turned and target.rows != len(up):
            up, down = down.T, up.T
        part.up.copy_(up[target.first_row : target.first_row + target.rows])
        part.down.copy_(down)
        part.scale = delta.scale
    return model


@torch.no_grad()
def with_peft(case: Case, added: Sequence[Delta]) -> nn.Module:
    """As PEFT does it, with its factors overwritten, tensor by tensor.

    Raises:
        OtherShape: if they cannot hold the deltas.
    """
    named = {f"{d.layer}.{d.parameter}": d for d in added if case.parameters}
    named |= {d.layer: d for d in added if d.layer in case.modules}
    patterns = {"^" + re.escape(name): delta for name, delta in named.items()}
    config = LoraConfig(
        target_modules="|".join(map(re.escape, case.modules)) or None,
        target_parameters=list(case.parameters) or None,
        rank_pattern={pattern: d.rank for pattern, d in patterns.items()},
        alpha_pattern={pattern: d.alpha for pattern, d in patterns.items()},
        fan_in_fan_out=all(d.turned for d in added),
    )
    made: nn.Module = get_peft_model(plain(case), config, autocast_adapter_dtype=False)
    for delta in added:
        _fill(_place(made.base_model.model, delta), delta)  # type: ignore[union-attr]
    return made


def _fill(place: Any, delta: Delta) -> None:
    if "default" in place.lora_embedding_A:
        pairs = [(place.lora_embedding_A["default"], delta.up.T)]
        pairs.append((place.lora_embedding_B["default"], delta.down.T))
    else:
        pairs = [(place.lora_A["default"].weight, delta.down)]
        pairs.append((place.lora_B["default"].weight, delta.up))
    for factor, value in pairs:
        if factor.numel() != value.numel():
            raise OtherShape(f"{tuple(factor.shape)} cannot hold {tuple(value.shape)}")
        factor.copy_(value.reshape(factor.shape))


def _place(model: Any, delta: Delta) -> Any:
    path, _, name = delta.layer.rpartition(".")
    parent: Any = model.get_submodule(path)
    if isinstance(parent, PeftAttention):
        parent = parent.base_layer
    found: Any = getattr(parent, name)
    while isinstance(found, ParamWrapper) and found.parameter_name != delta.parameter:
        found = found.base_layer
    return found


def _adapted(case: Case, model: nn.Module) -> list[list[tuple[str, str]]]:
    """Layers and parameters; what shares a rank in PEFT together: attention has several."""
    found = []
    for path in case.parameters:
        layer, _, parameter = path.rpartition(".")
        found.append([(layer, parameter)])
    for name in case.modules:
        module = model.get_submodule(name)
        if isinstance(module, nn.MultiheadAttention):
            own = [n for n, p in module.named_parameters(recurse=False) if p.ndim == 2]
            found.append([*((name, n) for n in own), (f"{name}.out_proj", "weight")])
        else:
            found.append([(name, "weight")])
    return found
