"""A mixed batch: each of its samples names the adapter that answers it."""

import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from autolora.errors import Disabled, NoSuchAdapter
from autolora.lora.delta import Delta
from autolora.lora.ended import Ended, next_node
from autolora.lora.low_rank import LowRank
from autolora.lora.route import Route
from autolora.lora.segments import Batch, Lanes, Parts
from autolora.lora.shadow import deltas_of, seen, split_key
from autolora.lora.targets import base_modules, join

# Their own linear layers are given what they are given: (time, samples, width) by default.
_ENCODERS = nn.TransformerEncoderLayer, nn.TransformerDecoderLayer


@contextmanager
def mixed(model: nn.Module, names: Sequence[str | None]) -> Iterator[None]:
    """Within this context each sample of a batch is answered by the adapter it names.

    The result is that of one call per sample, each with only its adapter, at its scale; the
    active set and its shares do not count. Gradients reach the adapters that are named. Linear
    layers, convolutions, look-ups and torch's attention can tell samples apart. Others raise an
    error where an adapter that is named has a delta, unless every sample names the same one: then
    every layer passes, and nothing counts the samples.

    Layers are given the samples as their first dimension (torch's attention and time-first
    transformer layers, the second). A layer that is given something else first, such as time, is
    noticed where the sizes differ.

    The factors of a batch are gathered at the first forward pass and kept until the context ends:
    stay in it where the same samples go on, as in decoding.

    A backward pass may come after the context: what gradient checkpointing computes anew there
    takes the adapters that it had. Where every sample names the same one, torch may raise its
    CheckpointError then. Compiled models run uncompiled here; where they hold checkpoints, call
    the backward pass within the context. Not for two threads on one model at once.

    Args:
        model: A model with adapters, of any ranks, scales and targets.
        names: For each sample an adapter's name, or None for the base.

    Raises:
        NoSuchAdapter: if the model carries no adapter of a name.
        Disabled: if an adapter of the model is out of sight.
        WrongBatch: within the context, if a layer's input does not have that many samples.
        NotMixable: within the context, at a layer that cannot tell samples apart.

    Source: Sheng et al. 2023 (S-LoRA), section 5, for base and deltas apart in one batch.

    >>> import torch
    >>> from autolora.lora.attach import attach
    >>> model = nn.Sequential(nn.Linear(8, 4))
    >>> for name, rank in (("french", 2), ("german", 4)):
    ...     adapter = attach(model, {"0.weight": rank}, name=name)
    >>> with mixed(model, ["german", None, "french"]):
    ...     model(torch.randn(3, 8)).shape
    torch.Size([3, 4])
    """
    batch = Batch(names)
    found = _deltas(model)
    _check_names(batch.where, (key for _, delta, _ in found for key in delta.first_rows))
    before = [(delta, delta.route) for _, delta, _ in found]
    shares: list[tuple[LowRank, float]] = []
    routes, first = [], next_node()
    try:
        for where, delta, dimension in found:
            routes.append(_route(delta, batch, where, dimension))
            shares += _set(delta, routes[-1])
        with _uncompiled():
            yield
    finally:
        for delta, route in before:
            delta.route = route
        for part, share in shares:
            part.share = share
        _end([delta for delta, _ in before], routes, first)


def _end(deltas: Iterable[Delta], routes: Iterable[Route], first: int) -> None:
    """Takes note of the routes if autograd has made nodes, which may compute something anew."""
    last = next_node()
    if last == first or -1 in (first, last):
        return
    for delta, route in zip(deltas, routes, strict=False):  # fewer routes after an error
        if delta.ended_routes is None:
            delta.ended_routes = Ended()
        route.lanes.forget()
        delta.ended_routes.add(first, last, route)


def _uncompiled() -> AbstractContextManager[object]:
    """What is compiled runs as it is written: each batch would be compiled anew otherwise."""
    if "torch._dynamo" not in sys.modules or torch.compiler.is_compiling():
        return nullcontext()
    eager: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return eager


def _check_names(names: Iterable[str | None], keys: Iterable[str]) -> None:
    known = dict.fromkeys(split_key(key)[0] for key in dict.fromkeys(keys))
    for name in names:
        if name is not None and name not in known:
            raise NoSuchAdapter(name, known)


def _route(delta: Delta, batch: Batch, where: str, dimension: int) -> Route:
    lanes = Lanes(batch, _named(delta, batch.where))
    return Route(where, lanes, (0, delta.rows), dimension)


def _set(delta: Delta, route: Route) -> list[tuple[LowRank, float]]:
    """Gives a delta its route; where all samples take the same parts, these are all there are.

    Then their shares are set instead, and what these were is given back.
    """
    taken = route.lanes.parts
    if len(route.lanes.batch.where) > 1 and taken:
        route.lanes.get()  # made here, where no compiler looks on
        delta.route = route
        return []
    delta.route = None
    before = [(part, part.share) for part in delta.parts().values()]
    for key, part in delta.parts().items():
        part.share = float(split_key(key)[0] in taken)
    return before


def _named(delta: Delta, names: Container[str | None]) -> dict[str | None, Parts]:
    """The parts of each adapter that is named, with their first rows."""
    parts: dict[str | None, Parts] = {}
    for key, part in delta.parts().items():
        name = split_key(key)[0]
        if name in names:
            parts[name] = (*parts.get(name, ()), (delta.first_rows[key], part))
    return parts


def _deltas(model: nn.Module) -> list[tuple[str, Delta, int]]:
    """Every delta, the path of its parameter, and where its layer's input has the samples.

    Raises:
        Disabled: if layers do not find one of them.
    """
    second: set[nn.Module] = set()
    found, unseen = [], []
    for path, layer in base_modules(model):
        if isinstance(layer, nn.MultiheadAttention):
            second |= {layer, layer.out_proj}
        if isinstance(layer, _ENCODERS) and not layer.self_attn.batch_first:
            second |= {layer.linear1, layer.linear2}
        for name, delta in deltas_of(layer).items():
            found.append((join(path, name), delta, int(layer in second)))
            if name not in seen(layer):
                unseen.append(join(path, name))
    if unseen:
        raise Disabled(unseen)
    return found
