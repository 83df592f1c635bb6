"""Adapters of one base combined into one: their exact sum, or a merge of their elements.

Everything is done on deltas. A sum of factors is no sum of deltas: (up₁ + up₂)(down₁ + down₂) has
cross terms that nobody trained.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.resize import Resized, factored
from autolora.artifacts.size import EVERYTHING, Size, size
from autolora.artifacts.union import Union, Weighted, union
from autolora.errors import NoProbability, OutOfRange
from autolora.lora.factors import Spectrum, of_matrix, stacked

Deltas = Sequence[tuple[Tensor, float]]


def stack(adapters: Weighted) -> Adapter:
    """The exact sum of deltas: Σ weight · delta, as one adapter.

    At every target of any of them up = [w₁ s₁ up₁ | w₂ s₂ up₂ | …] and down = [down₁; down₂; …],
    with scale 1; where all w · s are equal, the factors stay as they are, bit for bit, and that is
    the scale. Ranks add up; where the sum exceeds what a matrix can have, the pair is factored
    anew at full rank, still exactly. `autolora.resize` makes the result smaller.

    Parameters trained in full are values, not deltas, so no weight applies to them: each comes
    from the one adapter that has it, or from several that agree.

    Args:
        adapters: Adapters or folders in our own format, alone (weight 1) or as (adapter, weight);
            or a mapping from folders to weights. A weight may be negative; 0 leaves one out.

    Raises:
        NothingToCombine: if none is left.
        OutOfRange: if a weight is not finite.
        DifferentBases: if they do not belong to one base.
        TrainedTwice: if several trained a parameter in full, to different values.
        NotFinite: if factors diverged.
        NoAdapter, NeedsBase, AdapterFile: if a folder cannot be read.

    Source: Luo et al. 2023 (LCM-LoRA), equation 3.

    >>> from torch import nn
    >>> import autolora
    >>> model = nn.Sequential(nn.Linear(8, 4))
    >>> for name, rank in (("style", 1), ("speed", 2)):
    ...     adapter = autolora.attach(model, {"0.weight": rank}, name=name)
    >>> style, speed = (autolora.Adapter.capture(model, name) for name in ("style", "speed"))
    >>> stack([style, (speed, 0.5)]).allocation
    Allocation({'0.weight': 3})
    """
    found = union(adapters)
    sums = {name: stacked(found.parts(name)) for name in found.frame.targets}
    return replace(
        found.frame,
        factors={name: pair for name, (pair, _) in sums.items()},
        scales={name: scale for name, (_, scale) in sums.items()},
    )


def ties(
    adapters: Weighted, *, density: float, scale: float = 1.0, rank: int | None = None
) -> Resized:
    """TIES: trims each delta, elects a sign for each element, and averages those that agree.

    With the deltas D_t of a target and their weights w_t: D̂_t keeps the `density` share of
    elements of the largest magnitude and is 0 elsewhere; e = sign(Σ w_t D̂_t); the merged delta is
    `scale` · Σ w_t D̂_t / Σ |w_t|, both sums over those t whose w_t D̂_t has the sign e and is not
    0. Where no sign wins it is 0. A target is trimmed by itself; the paper trims the whole model
    at once.

    Args:
        adapters: As for `stack`, with the same rule for parameters trained in full.
        density: The share of elements that are kept, above 0, up to 1.
        scale: What multiplies the merged delta: λ of the paper.
        rank: The highest rank of a target; without one, the result is exact.

    Returns:
        The adapter, and what factoring at the rank lost of the merged deltas.

    Raises:
        OutOfRange: if density, scale or rank cannot be.
        NothingToCombine, DifferentBases, TrainedTwice, NotFinite: as `stack` does.

    Source: Yadav et al. 2023, section 3 and algorithm 1; weights as a generalisation.
    """
    if not 0 < density <= 1:
        raise OutOfRange("density", density, "a share above 0, up to 1")
    if not math.isfinite(scale):
        raise OutOfRange("scale", scale, "a finite number, such as 1.0")
    return _merged(adapters, lambda deltas: scale * _elected(deltas, density), rank)


def dare(adapters: Weighted, *, p: float, seed: int = 0, rank: int | None = None) -> Resized:
    """DARE: drops elements of each delta at random, rescales the rest, and adds up.

    The merged delta of a target is Σ w_t m_t ∘ D_t / (1 - p), where every element of m_t is 0 with
    the probability p and 1 otherwise: its expectation is the sum of deltas.

    Args:
        adapters: As for `stack`, with the same rule for parameters trained in full.
        p: The probability that an element is dropped, from 0 to below 1.
        seed: Of the masks. They are drawn target by target in the order of names, for one adapter
            after the other.
        rank: The highest rank of a target; without one, the result is exact.

    Returns:
        The adapter, and what factoring at the rank lost of the merged deltas.

    Raises:
        NoProbability: if p is none.
        OutOfRange: if the rank cannot be.
        NothingToCombine, DifferentBases, TrainedTwice, NotFinite: as `stack` does.

    Source: Yu et al. 2023, section 3.2.
    """
    if not 0 <= p < 1:
        raise NoProbability(p)
    generator = torch.Generator().manual_seed(seed)
    return _merged(adapters, lambda deltas: _dropped(deltas, p, generator), rank)


def _merged(adapters: Weighted, merge: Callable[[Deltas], Tensor], rank: int | None) -> Resized:
    """One target after the other, so that the dense deltas of one are in memory at a time."""
    wanted = EVERYTHING if rank is None else size(rank=rank)
    found = union(adapters)
    spectra = dict(_spectra(found, merge, wanted))
    types = {name: found.dtype(name) for name in spectra}
    return factored(found.frame, spectra, types, wanted)


def _spectra(
    found: Union, merge: Callable[[Deltas], Tensor], wanted: Size
) -> Iterable[tuple[str, Spectrum]]:
    for name in sorted(found.frame.targets):
        spectrum = of_matrix(merge(found.deltas(name)))
        yield name, spectrum.first(wanted.most(spectrum))


def _elected(deltas: Deltas, density: float) -> Tensor:
    weighted = [weight * _trimmed(delta, density) for delta, weight in deltas]
    sign = torch.stack(weighted).sum(0).sign()
    total, count = torch.zeros_like(sign), torch.zeros_like(sign)
    for value, (_, weight) in zip(weighted, deltas, strict=True):
        agrees = value.sign() == sign
        total += value * agrees
        count += abs(weight) * agrees.to(count)  # to float64 first, lest the weight be rounded
    return torch.where(count > 0, total / count, 0.0)


def _trimmed(delta: Tensor, density: float) -> Tensor:
    """Its largest elements; at least one."""
    flat = delta.flatten()
    kept = flat.abs().topk(max(1, round(density * len(flat)))).indices
    return torch.zeros_like(flat).scatter(0, kept, flat[kept]).view_as(delta)


def _dropped(deltas: Deltas, p: float, generator: torch.Generator) -> Tensor:
    found = torch.zeros_like(deltas[0][0])
    for delta, weight in deltas:
        kept = torch.rand(delta.shape, generator=generator, dtype=torch.float64) >= p
        found += weight * (kept * delta) / (1 - p)
    return found
