"""One model in four ways: its frozen base, and the same deltas by autolora, PEFT and a dense sum.

All share the base's own parameters, so that none has them warmer in the caches than another.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import autolora
from benchmarks.cases import Case, call

Factors = Mapping[tuple[str, str], tuple[Tensor, Tensor]]  # (layer, parameter): up, down


def variants(case: Case) -> dict[str, nn.Module]:
    """The base, autolora, PEFT where it adapts alike, and the dense sum; all answer alike.

    Raises:
        AssertionError: if they do not: then there would be nothing to compare.
    """
    torch.manual_seed(0)
    plain = case.model().requires_grad_(False)
    made = {"base": twin(plain), "autolora": twin(plain)}
    factors = attach(made["autolora"], case)
    if case.peft:
        made["PEFT"] = peft(twin(plain), factors, case.dropout)
    if not case.dropout:  # which the weight alone cannot express
        made["dense"] = dense(twin(plain), factors)
    for layer, _ in factors:
        made["base"].get_submodule(layer).register_forward_hook(ask_for_gradient)
    _check_alike(case, made)
    return made


def twin(model: nn.Module) -> nn.Module:
    """Another model on the same parameters."""
    kept: dict[int, Any] = {id(p): p for p in model.parameters()}
    return copy.deepcopy(model, kept)


def attach(model: nn.Module, case: Case, name: str = "default") -> Factors:
    """Attaches random deltas; gives the factors of each parameter, blocks stacked."""
    rows = {name: len(p) for name, p in model.named_parameters(remove_duplicate=False)}
    ranks = case.allocation(autolora.targets(model))
    adapter = autolora.attach(model, ranks, dropout=case.dropout, name=name)
    stacked: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
    for key, target in adapter.targets.items():
        part = adapter.factors[key]
        nn.init.normal_(part.up, std=0.02)
        where = (target.layer, target.parameter)
        up = part.up.new_zeros(rows[".".join(where)], part.rank)
        up[target.first_row : target.first_row + target.rows] = part.up.detach()
        down = part.down.detach()
        if where in stacked:
            up, down = torch.cat([stacked[where][0], up], 1), torch.cat([stacked[where][1], down])
        stacked[where] = up, down
    return stacked


class Sum(nn.Module):
    """The dense delta added to the weight at every use: what is right for any layer."""

    def __init__(self, up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.up = nn.Parameter(up.clone())
        self.down = nn.Parameter(down.clone())

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight)


def dense(model: nn.Module, factors: Factors) -> nn.Module:
    """The model with `torch.nn.utils.parametrize`."""
    for (layer, parameter), pair in factors.items():
        parametrize.register_parametrization(model.get_submodule(layer), parameter, Sum(*pair))
    return model


def peft(model: nn.Module, factors: Factors, dropout: float = 0.0) -> nn.Module:
    """The model as PEFT adapts it, without the outermost class, whose call would cost extra."""
    from peft import get_peft_model

    config = configured(model, factors, dropout)
    made = get_peft_model(model, config, autocast_adapter_dtype=False).base_model.model
    fill(made, factors)
    return made  # type: ignore[no-any-return]


def configured(model: nn.Module, factors: Factors, dropout: float = 0.0) -> Any:
    """A configuration that names exactly these parameters, with scale 1."""
    from peft import LoraConfig

    modules, parameters, ranks = [], [], {}
    for (layer, parameter), (up, _) in factors.items():
        recurrent = isinstance(model.get_submodule(layer), nn.RNNBase)
        path = f"{layer}.{parameter}" if recurrent else layer
        ranks["^" + re.escape(path)] = up.shape[1]
        inside_attention = layer.endswith(".out_proj") and layer.rpartition(".")[0] in modules
        if recurrent:
            parameters.append(path)
        elif not inside_attention:
            modules.append(layer)
    return LoraConfig(
        lora_dropout=dropout,
        target_modules="|".join(map(re.escape, modules)) if modules else None,
        target_parameters=parameters or None,
        rank_pattern=ranks,
        alpha_pattern=ranks,
    )


@torch.no_grad()
def fill(model: nn.Module, factors: Factors, adapter: str = "default") -> None:
    """Copies factors to where PEFT keeps them."""
    for (layer, parameter), (up, down) in factors.items():
        parent = model.get_submodule(layer.rpartition(".")[0])
        place = _place(parent, layer.rpartition(".")[2], parameter)
        if _is_attention(parent):
            up = up / 2  # noqa: PLW2901 — PEFT 0.21 adds the delta of out_proj twice
        if adapter in getattr(place, "lora_embedding_A", {}):
            place.lora_embedding_A[adapter].copy_(up.T)
            place.lora_embedding_B[adapter].copy_(down.T)
        else:
            a, b = place.lora_A[adapter].weight, place.lora_B[adapter].weight
            a.copy_(down.view(a.shape))
            b.copy_(up.view(b.shape))


def _place(parent: Any, name: str, parameter: str) -> Any:
    found: Any = getattr(parent.base_layer if _is_attention(parent) else parent, name)
    while getattr(found, "parameter_name", parameter) != parameter:
        found = found.base_layer
    return found


def _is_attention(module: Any) -> bool:
    return isinstance(getattr(module, "base_layer", None), nn.MultiheadAttention)


def ask_for_gradient(module: nn.Module, inputs: Any, output: Any) -> None:
    """Makes a frozen base go back as far as any adapter must, and no further."""
    del module, inputs
    first = output if isinstance(output, Tensor) else output[0]
    if torch.is_grad_enabled() and not first.requires_grad:
        first.requires_grad_(True)


@torch.no_grad()
def _check_alike(case: Case, made: Mapping[str, nn.Module]) -> None:
    torch.manual_seed(1)
    inputs = case.inputs()
    answers = {name: call(model.eval(), inputs) for name, model in made.items()}
    base, wanted = answers.pop("base"), answers.pop("autolora")
    assert not torch.allclose(wanted, base, rtol=1e-3, atol=1e-3), case.name
    for name, found in answers.items():
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3, msg=f"{case.name}: {name}")
