"""Attach and detach: which weight a layer finds under a parameter's name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from autolora.errors import NotAttached
from autolora.lora import products, sealed
from autolora.lora.allocation import Allocation
from autolora.lora.attached import Attached, adapters, attached
from autolora.lora.checks import check_dropout, check_name, check_refused, check_whole, finite
from autolora.lora.freeze import (
    freeze,
    is_frozen,
    restore_surroundings,
    set_surroundings,
    thaw,
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
from autolora.lora.targets import Target, base_modules, every_target

__all__ = ["Attached", "adapters", "attach", "attached", "detach", "disabled"]

assert products  # importing the folder registers the products


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
    check_name(model, name)
    check_whole(model)
    check_shown(model)
    sealed.check_open_to_gradients(model)
    known = every_target(model)
    check_refused(model, ranks, known)
    by_name = ranks.checked(known)
    check_dropout(dropout)
    rule = scale if callable(scale) else Constant(scale)
    scales = {rank: finite(rule(rank), rank) for rank in set(ranks.values())}
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
