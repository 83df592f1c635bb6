"""Attach and detach: which weight a layer finds under a parameter's name."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from autolora.errors import (
    AdapterName,
    Disabled,
    NoProbability,
    NoScale,
    NoSuchTarget,
    NotAttached,
    NothingToTrain,
    RefusedTarget,
)
from autolora.lora import products
from autolora.lora.allocation import Allocation
from autolora.lora.freeze import freeze, is_frozen, restore_surroundings, set_surroundings, thaw
from autolora.lora.low_rank import Delta, Lora, LowRank
from autolora.lora.scale import Constant
from autolora.lora.targets import (
    CHILD,
    Target,
    base_modules,
    join,
    refusals,
    target_name,
    targets,
)
from autolora.lora.weight import AdaptedWeight
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
        for named in found:
            self.also.update(named)
            for parameter in named.values():
                parameter.requires_grad_(True)
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

    Source: Hu et al. 2021.

    >>> model = nn.Sequential(nn.Linear(8, 4))
    >>> adapter = attach(model, {"0.weight": 2})
    >>> sum(p.numel() for p in adapter.parameters())
    24
    """
    ranks = Allocation(allocation)
    _check_name(model, name)
    check_shown(model)
    known = targets(model)
    _check_refused(model, ranks, known)
    by_name = ranks.checked(known)
    _check_dropout(dropout)
    rule = scale if callable(scale) else Constant(scale)
    scales = {rank: _finite(rule(rank), rank) for rank in set(ranks.values())}
    freeze(model)
    users = _users(model)
    factors = {}
    for target, rank in ((by_name[target_name_], r) for target_name_, r in ranks.items()):
        layer = model.get_submodule(target.layer)
        part = _part(layer, target, rank, scale=scales[rank], dropout=dropout)
        _put(layer, target, part, name, users)
        factors[target.name] = part
    set_surroundings(model)
    return Attached(model, name, {n: by_name[n] for n in ranks}, factors)


def attached(model: nn.Module, name: str = "default") -> Attached:
    """The adapter of a name on a model that carries it, after a copy or a pickle, say.

    Raises:
        NotAttached: if the model carries no such adapter.
    """
    known = {target.name: target for target in targets(model)}
    factors = {
        target: part
        for path, layer in base_modules(model)
        for parameter, delta in _deltas(layer).items()
        for key, part in delta.parts().items()
        for adapter, block in (_split_key(key),)
        if adapter == name and (target := target_name(path, parameter, block))
    }
    also = {
        join(path, n): p
        for path, module in base_modules(model)
        for n, p in module._parameters.items()
        if p is not None and p.requires_grad
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
        for delta in _deltas(layer).values()
        for key in delta.parts()
    )
    return tuple(dict.fromkeys(_split_key(key)[0] for key in keys))


def detach(model: nn.Module, name: str | None = None) -> None:
    """Takes one adapter away, or all; with the last the model is exactly what it was.

    Parameters trained in full beside the deltas keep their trained values.

    Raises:
        NotAttached: if there is no adapter to take away.
    """
    if not is_frozen(model) or (name is not None and name not in adapters(model)):
        raise NotAttached("detach" if name is None else f'detach under the name "{name}"')
    for _, layer in list(base_modules(model)):
        for delta in _deltas(layer).values():
            for key in delta.parts():
                if name in (None, _split_key(key)[0]):
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


Hidden = list[tuple[nn.Module, str, AdaptedWeight]]


def hide(model: nn.Module, *, only_empty: bool = False) -> Hidden:
    """Lets layers find their base parameters again; gives what they found instead."""
    hidden = [
        (layer, name, weight)
        for _, layer in base_modules(model)
        for name, weight in layer.__dict__.items()
        if isinstance(weight, AdaptedWeight) and not (only_empty and weight.delta.parts())
    ]
    for layer, name, _ in hidden:
        # Assigning a registered parameter clears the entry that shadows it, and lets a
        # recurrent layer refresh its own list of weights.
        setattr(layer, name, layer._parameters[name])
    for layer in {layer for layer, _, _ in hidden}:
        if isinstance(layer, nn.RNNBase):
            layer._init_flat_weights()  # its weak references to them, too
    return hidden


def show(hidden: Hidden) -> None:
    """Undoes `hide`, but for what was detached since."""
    for layer, name, weight in hidden:
        if weight.delta.parts():
            layer.__dict__[name] = weight


def check_shown(model: nn.Module) -> None:
    """Makes sure that layers find their adapted weights.

    Raises:
        Disabled: naming those that do not.
    """
    unseen = [
        join(path, name)
        for path, layer in base_modules(model)
        for name in _deltas(layer)
        if name not in layer.__dict__
    ]
    if unseen:
        raise Disabled(unseen)


def drop_children(model: nn.Module, *, only_empty: bool = True) -> list[tuple[nn.Module, Lora]]:
    """Removes the children that hold factors; gives them with their layers."""
    dropped = []
    for _, layer in list(base_modules(model)):
        child = layer._modules.get(CHILD)
        if not isinstance(child, Lora):
            continue
        for parameter, delta in child.deltas().items():
            if only_empty and not delta.parts():
                del child._modules[parameter]
        if not only_empty or not child.deltas():
            dropped.append((layer, child))
            del layer._modules[CHILD]
    return dropped


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


Users = dict[int, list[tuple[nn.Module, str]]]


def _users(model: nn.Module) -> Users:
    """Every layer and name under which each parameter is used: more than one if it is tied."""
    users: Users = {}
    for _, layer in base_modules(model):
        for name, parameter in layer._parameters.items():
            if parameter is not None:
                users.setdefault(id(parameter), []).append((layer, name))
    return users


def _put(layer: nn.Module, target: Target, part: LowRank, name: str, users: Users) -> None:
    if CHILD not in layer._modules:
        layer.add_module(CHILD, Lora())
    lora = layer._modules[CHILD]
    assert isinstance(lora, Lora)
    base = layer._parameters[target.parameter]
    assert base is not None
    if target.parameter not in lora.deltas():
        lora.add_module(target.parameter, Delta(len(base)))
    delta = lora.deltas()[target.parameter]
    delta.put(name + (f"[{target.block}]" if target.block else ""), part, target.first_row)
    for user, parameter in users[id(base)]:
        user.__dict__[parameter] = AdaptedWeight(user._parameters, parameter, delta)  # type: ignore[arg-type]


def _deltas(layer: nn.Module) -> dict[str, Delta]:
    child = layer._modules.get(CHILD)
    return child.deltas() if isinstance(child, Lora) else {}


def _split_key(key: str) -> tuple[str, str | None]:
    adapter, _, block = key.partition("[")
    return adapter, block.rstrip("]") or None


def _check_name(model: nn.Module, name: str) -> None:
    if not _NAME.fullmatch(name) or hasattr(Delta(1), name):
        raise AdapterName(
            f'"{name}" cannot name an adapter; use up to 64 letters, digits, "-" and "_" '
            "that are no attribute of a module"
        )
    if name in adapters(model):
        raise AdapterName(
            f'the model already carries an adapter named "{name}"; '
            "choose another name or call autolora.detach(model) first"
        )


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
