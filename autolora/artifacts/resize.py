"""Resize: the nearest adapter that is smaller, from the singular values of every delta."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.size import Size, size
from autolora.artifacts.source import Source, opened
from autolora.errors import NotFinite
from autolora.lora.attach import attached
from autolora.lora.factors import Spectrum, of_pair
from autolora.lora.shadow import deltas_of, drop_children, hide, split_key
from autolora.lora.targets import base_modules, target_name


@dataclass(frozen=True)
class Resized:
    """A smaller adapter, and what it lost.

    Errors are relative, in the Frobenius norm: ‖delta - delta before‖ / ‖delta before‖, for each
    target that had a delta, and for all of them together.
    """

    adapter: Adapter
    errors: Mapping[str, float]
    error: float


def resize(
    source: nn.Module | Source,
    *,
    rank: int | None = None,
    parameters: int | None = None,
    energy: float | None = None,
    name: str = "default",
) -> Resized:
    """Makes an adapter smaller: at each target the best delta of a lower rank.

    Exactly one of the three says how small. `rank` is one for all targets, and never raises that
    of a delta. `energy` is the share of squared singular values that each target keeps.
    `parameters` is one budget over all targets: singular values compete by value² / (rows +
    columns), the next best that fits is taken, and a target that gets none leaves the adapter.
    So does one whose delta is zero. Parameters trained in full stay as they are and are not
    counted.

    The factors come out balanced (both of the norm √value in every direction), with scale 1. The
    dense deltas are never formed: a target costs (rows + columns) · rank² operations.

    Args:
        source: A model, whose attached adapter becomes the smaller one in place: an optimiser
            must be made anew. Or an adapter, or the folder of one in our own format; both are
            left as they are.
        rank: The highest rank of every target.
        parameters: How many parameters all factors together may hold.
        energy: A share above 0, up to 1.
        name: Which adapter of a model.

    Raises:
        NotOneSize: if not exactly one of the three is given.
        OutOfRange: if its number cannot be.
        NothingFits: if the budget holds no rank of any target.
        NotAttached, NoAdapter, NeedsBase: if there is no adapter to read.
        NotFinite: if factors diverged.

    Source: Eckart and Young 1936, for the best matrix of a rank and its error.

    >>> import autolora
    >>> model = nn.Sequential(nn.Linear(8, 4))
    >>> adapter = autolora.attach(model, {"0.weight": 3})
    >>> _ = nn.init.normal_(adapter.factors["0.weight"].up)
    >>> resized = autolora.resize(model, rank=2)
    >>> resized.adapter.allocation, adapter.allocation
    (Allocation({'0.weight': 2}), Allocation({'0.weight': 2}))
    """
    wanted = size(rank=rank, parameters=parameters, energy=energy)
    if isinstance(source, nn.Module):
        resized = smaller(Adapter.capture(source, name), wanted)
        _put(source, name, resized.adapter)
        return resized
    return smaller(opened(source), wanted)


def smaller(adapter: Adapter, wanted: Size) -> Resized:
    """An adapter at the ranks of a rule."""
    spectra = {name: spectrum_of(adapter, name, wanted) for name in adapter.factors}
    types = {name: up.dtype for name, (up, _) in adapter.factors.items()}
    return factored(adapter, spectra, types, wanted)


def factored(
    frame: Adapter,
    spectra: Mapping[str, Spectrum],
    types: Mapping[str, torch.dtype],
    wanted: Size,
) -> Resized:
    """An adapter from the spectra of its deltas.

    Args:
        frame: Everything but the deltas; its targets are those of the spectra.
        spectra: Of every delta, with vectors up to the rank that the rule can ask for.
        types: What the factors of each target are stored in; half precision is widened.
        wanted: The rule that gives the ranks.
    """
    ranks = wanted.ranks(spectra)
    kept = {name: target for name, target in frame.targets.items() if ranks[name]}
    pairs = {name: spectra[name].pair(ranks[name]) for name in kept}
    stored = {name: torch.promote_types(types[name], torch.float32) for name in kept}
    lost = {name: spectrum.lost(ranks[name]) for name, spectrum in spectra.items()}
    energies = {name: spectrum.energy for name, spectrum in spectra.items()}
    error = _share(sum(lost.values()), sum(energies.values()))
    paths = {t.layer for t in kept.values()} | {n.rpartition(".")[0] for n in frame.full}
    adapter = replace(
        frame,
        targets=kept,
        factors={n: (u.to(stored[n]), d.to(stored[n])) for n, (u, d) in pairs.items()},
        scales=dict.fromkeys(kept, 1.0),
        layers={path: layer for path, layer in frame.layers.items() if path in paths},
        about=without_metrics(frame.about),
    )
    return Resized(adapter, {n: _share(lost[n], energies[n]) for n in spectra}, error)


def spectrum_of(adapter: Adapter, name: str, wanted: Size) -> Spectrum:
    """The spectrum of one delta, with the vectors that a rule can ask for.

    Raises:
        NotFinite: if a factor holds an infinity or no number.
    """
    up, down = adapter.factors[name]
    found = of_pair(finite(up, name), finite(down, name), adapter.scales[name])
    return found.first(wanted.most(found))


def finite(values: Tensor, name: str) -> Tensor:
    """The values, all of which are finite.

    Raises:
        NotFinite: if they are not.
    """
    if not torch.isfinite(values).all():
        raise NotFinite(name)
    return values


def without_metrics(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is still true of an adapter when its deltas have changed."""
    return {key: value for key, value in about.items() if key != "metrics"}


@torch.no_grad()
def _put(model: nn.Module, name: str, adapter: Adapter) -> None:
    """The factors of an adapter in the place of those that a model carries."""
    for target, part in attached(model, name).factors.items():
        if target in adapter.factors:
            part.up = _like(part.up, adapter.factors[target][0])
            part.down = _like(part.down, adapter.factors[target][1])
            part.scale = adapter.scales[target]
    _drop(model, name, keep=set(adapter.factors))


def _like(former: nn.Parameter, value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.to(former), requires_grad=former.requires_grad)


def _drop(model: nn.Module, name: str, keep: set[str]) -> None:
    """Takes away the deltas of an adapter at all other targets."""
    for path, layer in list(base_modules(model)):
        for parameter, delta in deltas_of(layer).items():
            for key in delta.parts():
                adapter, block = split_key(key)
                if adapter == name and target_name(path, parameter, block) not in keep:
                    delta.drop(key)
    hide(model, only_empty=True)
    drop_children(model)


def _share(lost: float, energy: float) -> float:
    return math.sqrt(lost / energy) if energy else 0.0
