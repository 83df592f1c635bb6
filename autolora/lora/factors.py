"""Arithmetic of deltas as pairs of factors: sums, spectra, and the best pair of a lower rank.

A spectrum of a pair comes from the pair itself: its dense matrix is never formed. Everything is
computed in float64, whatever the factors are stored in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]

_EPSILON = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Spectrum:
    """A matrix by its singular values, the largest first: left · diag(values) · right.

    Values that rounding cannot tell from zero are left out, so that their number is the rank of
    the matrix. Vectors may be there for the first values only.

    Shapes: values (rank,); left (rows, up to rank); right (up to rank, columns).
    """

    left: Tensor
    values: Tensor
    right: Tensor

    @property
    def cost(self) -> int:
        """Parameters that one rank costs: rows + columns."""
        return self.left.shape[0] + self.right.shape[1]

    @property
    def energy(self) -> float:
        """The sum of squares of the matrix: the square of its Frobenius norm."""
        return float(self.values.square().sum())

    def lost(self, rank: int) -> float:
        """The sum of squares that the best matrix of a rank leaves out.

        Source: Eckart and Young 1936: the squares of the dropped singular values, added.
        """
        return float(self.values[rank:].square().sum())

    def first(self, rank: int) -> "Spectrum":
        """The same without the vectors beyond a rank, whose memory is given back."""
        left, right = self.left[:, :rank].clone(), self.right[:rank].clone()
        return replace(self, left=left, right=right)

    def pair(self, rank: int) -> Pair:
        """The best pair of a rank: up = left · √values, down = √values · right.

        Both factors have the same norm in every direction, so that neither loses more to
        rounding or takes larger steps in training.

        Shapes: up (rows, rank); down (rank, columns).
        """
        root = self.values[:rank].sqrt()
        return self.left[:, :rank] * root, root[:, None] * self.right[:rank]


def of_pair(up: Tensor, down: Tensor, scale: float = 1.0) -> Spectrum:
    """The spectrum of scale · up · down, at a cost of (rows + columns) · rank².

    With up = Qᵤ Rᵤ and downᵀ = Qᵥ Rᵥ the small matrix scale · Rᵤ Rᵥᵀ has the singular values of
    the product. Rows of `up` and columns of `down` that are zero stay so, bit for bit.

    Source: Golub and Van Loan 2013, Matrix Computations, sections 5.2 and 8.6.

    >>> spectrum = of_pair(torch.ones(4, 2), torch.ones(2, 9))  # all twos, of rank 1
    >>> round(float(spectrum.values), 9), spectrum.cost
    (12.0, 13)
    """
    q_up, r_up = torch.linalg.qr(up.double())
    q_down, r_down = torch.linalg.qr(down.double().T)
    core = scale * (r_up @ r_down.T)
    left, values, right = torch.linalg.svd(core, full_matrices=False)
    # What cancels between the factors leaves rounding of their size, not of the product's.
    size = abs(scale) * float(r_up.norm() * r_down.norm())
    kept = values > size * _EPSILON * max(core.shape)
    return _clean(
        Spectrum(q_up @ left[:, kept], values[kept], right[kept] @ q_down.T),
        up.any(1),
        down.any(0),
    )


def of_matrix(matrix: Tensor) -> Spectrum:
    """The spectrum of a dense matrix.

    Shapes: matrix (rows, columns).
    """
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    kept = values > _EPSILON * max(matrix.shape) * values.max()
    found = Spectrum(left[:, kept], values[kept], right[kept])
    return _clean(found, matrix.any(1), matrix.any(0))


def stacked(parts: Sequence[tuple[Pair, float]]) -> tuple[Pair, float]:
    """One pair and its scale whose product is the sum of strength · up · down of several.

    up = [strength₁ up₁ | strength₂ up₂ | …] and down = [down₁; down₂; …] with scale 1; where all
    strengths are equal, the factors stay as they are and the scale is the strength. The rank is
    the sum of ranks; beyond what the matrix can have, the pair is factored anew at full rank.

    Shapes: of each part up (rows, its rank); down (its rank, columns).
    Source: Luo et al. 2023 (LCM-LoRA), equation 3: deltas add up linearly.

    >>> one = torch.eye(2, 3).T, torch.eye(2, 3)
    >>> (up, down), scale = stacked([(one, 0.5), (one, -0.25)])
    >>> up.shape, scale * (up @ down)[0, 0]
    (torch.Size([3, 2]), tensor(0.2500))
    """
    dtype = torch.float32  # in half precision a strength would cost digits
    for (up, _), _ in parts:
        dtype = torch.promote_types(dtype, up.dtype)
    strengths = {strength for _, strength in parts}
    equal = len(strengths) == 1
    ups = [up.to(dtype) if equal else up.double() * strength for (up, _), strength in parts]
    up, down = torch.cat(ups, 1), torch.cat([down.to(dtype) for (_, down), _ in parts])
    scale = strengths.pop() if equal else 1.0
    most = min(len(up), down.shape[1])
    if up.shape[1] > most:
        (up, down), scale = of_pair(up, down, scale).pair(most), 1.0
    return (up.to(dtype), down.to(dtype)), scale


def rank_for_energy(spectrum: Spectrum, share: float) -> int:
    """The lowest rank that keeps a share of the sum of squares.

    >>> spectrum = of_matrix(torch.diag(torch.tensor([3.0, 1.0, 1.0])))
    >>> [rank_for_energy(spectrum, share) for share in (0.8, 0.9, 1.0)]
    [1, 2, 3]
    """
    # Added from the smallest, so that the last sums do not drown in the first.
    tails = spectrum.values.square().flip(0).cumsum(0).flip(0)
    allowed = (1 - share) * spectrum.energy
    return int((tails > allowed).sum())


def ranks_for_parameters(spectra: Mapping[str, Spectrum], parameters: int) -> dict[str, int]:
    """Ranks within one budget over all matrices that keep as much as the greedy rule can.

    Singular values compete by value² / cost: what they take off the squared error for each
    parameter. The next best that still fits is taken, until none fits.

    Source: Dantzig 1957, the greedy rule for the knapsack.

    >>> thin, wide = torch.diag(torch.tensor([2.0, 1.0])), 3 * torch.ones(1, 9)
    >>> ranks_for_parameters({"thin": of_matrix(thin), "wide": of_matrix(wide)}, 14)
    {'thin': 1, 'wide': 1}
    """
    ranks, left = dict.fromkeys(spectra, 0), parameters
    offers = sorted(
        (-(float(value) ** 2) / spectrum.cost, name, rank)
        for name, spectrum in spectra.items()
        for rank, value in enumerate(spectrum.values, 1)
    )
    for _, name, rank in offers:
        # Where one value of a matrix did not fit, its next ones do not either: they cost the same.
        if spectra[name].cost <= left:
            ranks[name], left = rank, left - spectra[name].cost
    return ranks


def _clean(found: Spectrum, rows: Tensor, columns: Tensor) -> Spectrum:
    """Rows and columns that are zero in the matrix, as exact zeros."""
    return replace(found, left=found.left * rows[:, None], right=found.right * columns)
