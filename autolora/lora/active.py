"""Which of a model's adapters take part, and how much of each."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import nn

from autolora.errors import NoScale, NotAttached
from autolora.lora.attach import adapters
from autolora.lora.delta import Kept
from autolora.lora.low_rank import LowRank
from autolora.lora.shadow import deltas_of, split_key
from autolora.lora.targets import base_modules


@dataclass
class Activation:
    """A set of active adapters, in force since it was made; as a context, until that ends."""

    shares: Mapping[str, float]
    _before: list[tuple[LowRank, float]] = field(repr=False)

    def __enter__(self) -> "Activation":
        return self

    def __exit__(self, *error: object) -> None:
        for part, share in self._before:
            part.share = share


def activate(model: nn.Module, names: str | Iterable[str] | Mapping[str, float]) -> Activation:
    """Lets some adapters take part, each with its share, and no other.

    The deltas of the active adapters add up, each multiplied by its share, in any order; with
    none, the base answers. For good, or as a context:

    Args:
        model: A model with adapters.
        names: One adapter, several, or the share of each. Every share is 1 if none is given.

    Raises:
        NotAttached: if the model carries no adapter of a name.
        NoScale: if a share is not finite.

    Source: Luo et al. 2023 (LCM-LoRA), equation 3, for the sum with shares.

    >>> from autolora.lora.attach import attach
    >>> model = nn.Sequential(nn.Linear(8, 4))
    >>> for name in ("style", "speed"):
    ...     adapter = attach(model, {"0.weight": 2}, name=name)
    >>> with activate(model, {"style": 0.7, "speed": 0.3}) as active:
    ...     active.shares
    {'style': 0.7, 'speed': 0.3}
    """
    shares = _shares(names)
    known = adapters(model)
    for name, share in shares.items():
        if name not in known:
            raise NotAttached(f'activate under the name "{name}"')
        if not math.isfinite(share):
            raise NoScale(share, 0)
    before = [(part, part.share) for _, part in _parts(model)]
    for name, part in _parts(model):
        part.share = float(shares.get(name, 0.0))
    return Activation(shares, before)


def active(model: nn.Module) -> dict[str, float]:
    """The adapters that take part now, with their shares."""
    return {name: part.share for name, part in _parts(model) if part.share}


@contextmanager
def cached(model: nn.Module) -> Iterator[None]:
    """Within this context the sum of a base and its delta is formed once and used again.

    For layers that are called many times in one forward pass and need the dense sum: cells
    stepped in a loop, recurrent layers. One forward and backward pass per context, since torch
    frees the graph of the sum with the backward pass. A change in place of factors or base is
    seen; dropout of the sum is drawn once.

    >>> cell = nn.GRUCell(8, 4)
    >>> with cached(cell):
    ...     pass
    """
    deltas = [delta for _, layer in base_modules(model) for delta in deltas_of(layer).values()]
    before = [delta.kept for delta in deltas]
    for delta in deltas:
        delta.kept = Kept()
    try:
        yield
    finally:
        for delta, kept in zip(deltas, before, strict=True):
            delta.kept = kept


def _shares(names: str | Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    if isinstance(names, Mapping):
        return dict(names)
    return dict.fromkeys((names,) if isinstance(names, str) else names, 1.0)


def _parts(model: nn.Module) -> list[tuple[str, LowRank]]:
    """Every part of every delta with the name of its adapter."""
    return [
        (split_key(key)[0], part)
        for _, layer in base_modules(model)
        for delta in deltas_of(layer).values()
        for key, part in delta.parts().items()
    ]
