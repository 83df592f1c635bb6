"""Arithmetic of factors: sums and spectra equal those of the dense matrices."""

import math

import pytest
import torch
from torch import Tensor

from autolora.lora.factors import (
    Pair,
    of_matrix,
    of_pair,
    rank_for_energy,
    ranks_for_parameters,
    stacked,
)

SHAPES = [(7, 5, 3), (5, 9, 2), (4, 4, 4), (3, 8, 6), (1, 6, 1), (6, 1, 2)]


def pair(rows: int, columns: int, rank: int, seed: int = 0) -> Pair:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, rank, generator=generator, dtype=torch.float64),
        torch.randn(rank, columns, generator=generator, dtype=torch.float64),
    )


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.7, -1.3])
def test_the_spectrum_of_a_pair_is_that_of_its_product(
    shape: tuple[int, int, int], scale: float
) -> None:
    up, down = pair(*shape)
    dense = scale * up @ down
    found = of_pair(up, down, scale)
    close(found.values, torch.linalg.svdvals(dense)[: min(shape)])
    assert len(found.values) == min(shape)
    assert found.energy == pytest.approx(float(dense.norm() ** 2), rel=1e-12)
    close(found.left * found.values @ found.right, dense)
    assert found.cost == shape[0] + shape[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pair_of_lower_rank_is_the_best_there_is_and_balanced(
    shape: tuple[int, int, int],
) -> None:
    up, down = pair(*shape)
    dense = up @ down
    left, values, right = torch.linalg.svd(dense, full_matrices=False)
    for spectrum in (of_pair(up, down), of_matrix(dense)):
        for rank in range(1, min(shape) + 1):
            lower = spectrum.pair(rank)
            close(lower[0] @ lower[1], left[:, :rank] * values[:rank] @ right[:rank])
            close(lower[0].norm(dim=0), values[:rank].sqrt())
            close(lower[1].norm(dim=1), values[:rank].sqrt())
            lost = float((dense - lower[0] @ lower[1]).norm())
            assert math.sqrt(spectrum.lost(rank)) == pytest.approx(lost, abs=1e-12)


def test_the_dense_matrix_is_never_formed() -> None:
    up, down = pair(400_000, 300_000, 2)  # dense, it would fill 960 GB
    values = of_pair(up, down).values
    gram = (up.T @ up) @ (down @ down.T)
    torch.testing.assert_close(
        values.square(), torch.linalg.eigvals(gram).real.sort(descending=True)[0]
    )


def test_what_cancels_has_no_rank() -> None:
    up, down = pair(30, 20, 3)
    far, near = (torch.cat([up, 1e3 * up], 1), torch.cat([down, -1e-3 * down]))
    assert len(of_pair(far, near).values) == 0
    assert of_pair(far, near).energy == 0
    assert len(of_matrix(torch.zeros(4, 3)).values) == 0
    assert len(of_pair(up, down, 0.0).values) == 0


def test_rows_and_columns_of_zeros_stay_so_bit_for_bit() -> None:
    up, down = pair(6, 8, 3)
    up[0], down[:, 5] = 0, 0
    for spectrum in (of_pair(up, down), of_matrix(up @ down)):
        lower = spectrum.pair(2)
        assert torch.equal(lower[0][0], torch.zeros(2, dtype=torch.float64))
        assert torch.equal(lower[1][:, 5], torch.zeros(2, dtype=torch.float64))


def test_vectors_beyond_a_rank_are_given_back() -> None:
    spectrum = of_pair(*pair(7, 5, 3))
    shorter = spectrum.first(1)
    assert (shorter.left.shape, shorter.right.shape, len(shorter.values)) == ((7, 1), (1, 5), 3)
    assert shorter.left.untyped_storage().nbytes() == 7 * 8
    assert shorter.lost(1) == spectrum.lost(1)


def test_a_stack_is_the_sum() -> None:
    parts = [(pair(9, 11, rank, seed=rank), strength) for rank, strength in ((2, 0.7), (3, -1.9))]
    (up, down), scale = stacked(parts)
    assert up.shape[1] == 5
    close(scale * up @ down, sum(s * u @ d for (u, d), s in parts))  # type: ignore[arg-type]


def test_factors_of_equal_strength_stay_as_they_are() -> None:
    first, second = (tuple(f.float() for f in pair(9, 11, 2, seed)) for seed in (1, 2))
    (up, down), scale = stacked([(first, 0.3), (second, 0.3)])
    assert scale == 0.3
    assert torch.equal(up, torch.cat([first[0], second[0]], 1))
    assert torch.equal(down, torch.cat([first[1], second[1]]))


@pytest.mark.parametrize("strengths", [(0.5, 0.5, 0.5), (0.5, -0.2, 1.7)])
def test_a_stack_beyond_the_matrix_is_factored_anew(strengths: tuple[float, ...]) -> None:
    parts = [(pair(4, 6, 3, seed), strength) for seed, strength in enumerate(strengths)]
    (up, down), scale = stacked(parts)
    assert up.shape[1] == 4
    close(scale * up @ down, sum(s * u @ d for (u, d), s in parts))  # type: ignore[arg-type]


def test_half_precision_is_widened_before_it_is_scaled() -> None:
    first, second = ((u.bfloat16(), d.bfloat16()) for u, d in (pair(9, 8, 2, 1), pair(9, 8, 2, 2)))
    (up, down), scale = stacked([(first, 0.3), (second, 0.7)])
    wanted = 0.3 * first[0].double() @ first[1].double()
    wanted = wanted + 0.7 * second[0].double() @ second[1].double()
    torch.testing.assert_close(scale * up.double() @ down.double(), wanted, atol=1e-6, rtol=1e-6)


def test_energy_keeps_the_share_at_the_lowest_rank() -> None:
    spectrum = of_pair(*pair(12, 9, 6))
    squares = spectrum.values.square()
    for share in (0.1, 0.5, 0.9, 0.99):
        rank = rank_for_energy(spectrum, share)
        assert squares[:rank].sum() >= share * squares.sum()
        assert squares[: rank - 1].sum() < share * squares.sum()
    assert rank_for_energy(spectrum, 1.0) == 6


def test_ranks_within_a_budget_follow_the_greedy_rule() -> None:
    spectra = {
        "a": of_pair(*pair(12, 9, 6, 1)),
        "b": of_pair(*pair(40, 3, 3, 2), 0.5),
        "c": of_pair(*pair(4, 5, 4, 3), 0.1),
    }
    everything = sum(s.cost * len(s.values) for s in spectra.values())
    for budget in range(0, everything + 20, 7):
        ranks = ranks_for_parameters(spectra, budget)
        left = budget - sum(spectra[n].cost * r for n, r in ranks.items())
        assert left >= 0
        assert ranks == _greedy(spectra, budget)
        for name, spectrum in spectra.items():  # nothing that fits is left
            assert spectrum.cost > left or ranks[name] == len(spectrum.values)


def _greedy(spectra: dict, budget: int) -> dict[str, int]:
    """The rule, one step at a time, as it is told."""
    ranks = dict.fromkeys(spectra, 0)
    while True:
        open_ = [
            (float(s.values[ranks[n]]) ** 2 / s.cost, n)
            for n, s in spectra.items()
            if ranks[n] < len(s.values) and s.cost <= budget
        ]
        if not open_:
            return ranks
        best = max(open_)[1]
        ranks[best] += 1
        budget -= spectra[best].cost


def test_of_equal_costs_the_largest_values_are_kept() -> None:
    spectra = {str(i): of_pair(*pair(8, 8, 4, i), i + 1.0) for i in range(3)}
    ranks = ranks_for_parameters(spectra, 16 * 5)
    kept = torch.cat([spectra[n].values[:r] for n, r in ranks.items()])
    every = torch.cat([s.values for s in spectra.values()]).sort(descending=True)[0]
    assert torch.equal(kept.sort(descending=True)[0], every[:5])
