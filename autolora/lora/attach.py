"""Attach and detach: which weight a layer finds under a parameter's name."""

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from autolora.errors import (
    AdapterName,
    AttachedTooLate,
    NoProbability,
    NoScale,
    NoSuchTarget,
    NotAttached,
    NothingToTrain,
    RefusedTarget,
)
from autolora.lora import products, sealed
from autolora.lora.allocation import Allocation
from autolora.lora.delta import Delta
from autolora.lora.freeze import (
    claim,
    freeze,
    is_frozen,
    restore_surroundings,
    set_surroundings,
    thaw,
    trained_beside,
)
from autolora.lora.low_rank import LowRank
from autolora.lora.scale import Constant
from autolora.lora.shadow import (
    check_shown,
    deltas_of,
    drop_children,
    hide,
    put,
    show,
    split_key,
    users_of,
)
from autolora.lora.targets import (
    Target,
    base_modules,
    every_target,
    join,
    refusals,
    target_name,
)
from autolora.registry import nearest

__all__ = ["Attached", "adapters", "attach", "attached", "detach", "disabled"]

assert products  # importing the folder registers the products

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Attached:
    """An adapter in place on a model: its targets and their factors, by target name."""

    model: nn.Module
    name: str
    targets: Mapping[str, Target]
    factors: Mapping[str, LowRank]
    also: dict[str, nn.Parameter] = field(default_factory=dict)

    @property
    def allocation(self) -> Allocation:
        """The rank of every target."""
        return Allocation({name: part.rank for name, part in self.factors.items()})

    @property
    def scales(self) -> dict[str, float]:
        """The effective scale of every target."""
        return {name: part.scale for name, part in self.factors.items()}

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained: the factors, then the parameters trained in full."""
        for part in self.factors.values():
            yield from part.parameters()
        yield from self.also.values()

    def also_train(self, *modules: str) -> "Attached":
        """Trains modules in full beside the deltas: a new head, say.

        Their values are saved with the adapter, and `detach` leaves them as trained.

        Raises:
            NoSuchTarget: if the model has no module of that name.
            NothingToTrain: if a module has no parameters.
        """
        found = [_parameters(self.model, module) for module in modules]
        for path, parameter in (item for named in found for item in named.items()):
            self.also[path] = parameter
            claim(self.model, path, self.name)
            parameter.requires_grad_(True)
        return self

    def requires_grad_(self, flag: bool = True) -> "Attached":
        """Whether this adapter is trained: off, it stays as it is while others learn.

        Its delta still counts; only its gradients are not formed.
        """
        for parameter in self.parameters():
            parameter.requires_grad_(flag)
        return self

    def reset(self, init: str = "kaiming") -> "Attached":
        """Starts the factors anew; see `LowRank.reset`."""
        for part in self.factors.values():
            part.reset(init)
        return self


def attach(
    model: nn.Module,
    allocation: Mapping[str, int],
    *,
    scale: float | Callable[[int], float] = 1.0,
    dropout: float = 0.0,
    name: str = "default",
) -> Attached:
    """Freezes the base and gives every target of an allocation a fresh delta.

    Nothing changes until the delta is trained: outputs stay the same, bit for bit. Several
    adapters of different names add up.

    Args:
        model: Any module; its layers keep their class, their forward and their keys.
        allocation: Target name to rank; targets left out, or of rank 0, are not adapted.
        scale: What multiplies the product, or a rule that gives it from the rank.
        dropout: The probability that an input of a delta is dropped in training.
        name: A plain word that tells this adapter from others on the same model.

    Raises:
        NoSuchTarget: if the allocation names no target of the model.
        RefusedTarget: if a target cannot be adapted as it is.
        RankTooHigh: if a rank exceeds what its matrix can have.
        AdapterName: if the name is no plain word or is taken.
        NoProbability: if the dropout is none.
        NoScale: if the scale is not finite.
        Disabled: if an adapter of the model is out of sight.
        PackedBase: if a layer of bitsandbytes is packed for a kernel without gradients.
        AttachedTooLate: if DDP or FSDP2 has spread the model over processes already.

    Source: Hu et al. 2021.

    >>> model = nn.Sequential(nn.Linear(8, 4))
    >>> adapter = attach(model, {"0.weight": 2})
    >>> sum(p.numel() for p in adapter.parameters())
    24
    """
    ranks = Allocation(allocation)
    _check_name(model, name)
    _check_whole(model)
    check_shown(model)
    sealed.check_open_to_gradients(model)
    known = every_target(model)
    _check_refused(model, ranks, known)
    by_name = ranks.checked(known)
    _check_dropout(dropout)
    rule = scale if callable(scale) else Constant(scale)
    scales = {rank: _finite(rule(rank), rank) for rank in set(ranks.values())}
    freeze(model)
    users = users_of(model)
    factors = {}
    for target, rank in ((by_name[target_name_], r) for target_name_, r in ranks.items()):
        layer = model.get_submodule(target.layer)
        part = _part(layer, target, rank, scale=scales[rank], dropout=dropout)
        put(layer, target, part, name, users)
        factors[target.name] = part
    set_surroundings(model)
    return Attached(model, name, {n: by_name[n] for n in ranks}, factors)


def attached(model: nn.Module, name: str = "default") -> Attached:
    """The adapter of a name on a model that carries it, after a copy or a pickle, say.

    Raises:
        NotAttached: if the model carries no such adapter.
    """
    known = {target.name: target for target in every_target(model)}
    factors = {
        target: part
        for path, layer in base_modules(model)
        for parameter, delta in deltas_of(layer).items()
        for key, part in delta.parts().items()
        for adapter, block in (split_key(key),)
        if adapter == name and (target := target_name(path, parameter, block))
    }
    also = {
        join(path, n): p
        for path, module in base_modules(model)
        for n, p in module._parameters.items()
        if p is not None and trained_beside(module, n, name)
    }
    # An adapter of rank 0 everywhere leaves no delta that tells its name.
    if not is_frozen(model) or name not in (adapters(model) or (name,)):
        raise NotAttached(f'read under the name "{name}"')
    return Attached(model, name, {n: known[n] for n in factors}, factors, also)


def adapters(model: nn.Module) -> tuple[str, ...]:
    """The names of the adapters that have a delta on a model, in the order of attachment."""
    keys = (
        key
        for _, layer in base_modules(model)
        for delta in deltas_of(layer).values()
        for key in delta.parts()
    )
    return tuple(dict.fromkeys(split_key(key)[0] for key in keys))


def detach(model: nn.Module, name: str | None = None) -> None:
    """Takes one adapter away, or all; with the last the model is exactly what it was.

    Parameters trained in full beside the deltas keep their trained values.

    Raises:
        NotAttached: if there is no adapter to take away.
    """
    if not is_frozen(model) or (name is not None and name not in adapters(model)):
        raise NotAttached("detach" if name is None else f'detach under the name "{name}"')
    for _, layer in list(base_modules(model)):
        for delta in deltas_of(layer).values():
            for key in delta.parts():
                if name in (None, split_key(key)[0]):
                    delta.drop(key)
    hide(model, only_empty=True)
    drop_children(model)
    if not adapters(model):
        release(model)


@contextmanager
def disabled(model: nn.Module) -> Iterator[None]:
    """Within this context the base answers, as if nothing were attached."""
    hidden = hide(model)
    try:
        yield
    finally:
        show(hidden)


def release(model: nn.Module) -> None:
    """Undoes what attaching changed beside the weights."""
    thaw(model)
    restore_surroundings(model)


def _part(layer: nn.Module, target: Target, rank: int, *, scale: float, dropout: float) -> LowRank:
    """A fresh delta where the base lives; factors of a half-precision base stay in float32."""
    base = layer._parameters[target.parameter]
    assert base is not None
    with torch.inference_mode(mode=False):  # what is made inside could never be trained
        part = LowRank(target.rows, target.columns, rank, scale=scale, dropout=dropout)
    dtype = torch.promote_types(base.dtype, torch.float32)
    return part.to(device=base.device, dtype=dtype).train(layer.training)


def _check_name(model: nn.Module, name: str) -> None:
    if not _NAME.fullmatch(name) or hasattr(Delta(1, 1), name):
        raise AdapterName(
            f'"{name}" cannot name an adapter; use up to 64 letters, digits, "-" and "_" '
            "that are no attribute of a module"
        )
    if name in adapters(model):
        raise AdapterName(
            f'the model already carries an adapter named "{name}"; '
            "choose another name or call autolora.detach(model) first"
        )


def _check_whole(model: nn.Module) -> None:
    """Neither DDP nor FSDP2 would learn of factors that come later."""
    fsdp = sys.modules.get("torch.distributed.fsdp")  # slow to load; without it nothing is split
    spread = (nn.parallel.DistributedDataParallel, *([fsdp.FSDPModule] if fsdp else []))
    for module in model.modules():
        if isinstance(module, spread):
            raise AttachedTooLate(type(module).__name__)


def _parameters(model: nn.Module, module: str) -> dict[str, nn.Parameter]:
    """The base parameters of a module by their path in the model."""
    paths = dict(base_modules(model))
    if module not in paths:
        raise NoSuchTarget(module, nearest(module, paths))
    named = {
        join(module, inner, name): parameter
        for inner, layer in base_modules(paths[module])
        for name, parameter in layer._parameters.items()
        if parameter is not None
    }
    if not named:
        raise NothingToTrain(module)
    return named


def _finite(scale: float, rank: int) -> float:
    if not math.isfinite(scale):
        raise NoScale(scale, rank)
    return float(scale)


def _check_dropout(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise NoProbability(dropout)


def _check_refused(model: nn.Module, ranks: Allocation, known: tuple[Target, ...]) -> None:
    names = {target.name for target in known}
    asked = {name.partition("[")[0] for name in ranks if name not in names}
    for refusal in refusals(model):
        if refusal.name in asked:
            raise RefusedTarget(refusal.name, refusal.reason, refusal.remedy)
