"""The directions in which inputs vary, and how much of the variance each explains."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autolora.lora.factors import of_matrix


@dataclass(frozen=True)
class Directions:
    """Orthonormal directions, that of the most variance first.

    Shapes: vectors (directions, columns); a ratio for each of them.
    """

    vectors: Tensor
    ratios: list[float]


def of_inputs(inputs: Tensor, most: int) -> Directions:
    """The principal directions of vectors about their mean, at most so many.

    The smaller of the two Gram matrices is decomposed. Directions without variance are left out.

    Shapes: inputs (vectors, columns).
    Source: Paischer et al. 2024 (EVA), section 3.2; about the mean, as in the authors' code.
    """
    centred = inputs.double() - inputs.double().mean(0)
    tall = len(centred) > centred.shape[1]
    gram = centred.T @ centred if tall else centred @ centred.T
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    kept = values > values[:1] * len(values) * torch.finfo(torch.float64).eps
    values, total = values[kept][:most], float(values.sum()) or 1.0
    vectors = vectors[:, kept][:, :most]
    rows = vectors.T if tall else (centred.T @ vectors / values.sqrt()).T
    return Directions(rows.float(), (values / total).tolist())


def of_gradient(gradient: Tensor) -> Directions:
    """The right singular directions of a gradient: combinations of inputs, by how they are used."""
    if not gradient.any():
        return Directions(gradient.new_zeros(0, gradient.shape[1]), [])
    spectrum = of_matrix(gradient)
    # It was summed up in float32, which leaves rounding in directions that it has not.
    noise = torch.finfo(torch.float32).eps * max(gradient.shape) * spectrum.values[0]
    rank = int((spectrum.values > noise).sum())
    ratios = spectrum.values[:rank].square() / spectrum.energy
    return Directions(spectrum.right[:rank].float(), ratios.tolist())
