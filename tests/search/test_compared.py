"""Statistics of the search benchmark's page, against values known by hand or from scipy."""

import itertools

import pytest
from scipy.stats import permutation_test

from benchmarks.search.anytime import regrets
from benchmarks.search.compared import against, holm, ranks, sign_flips
from benchmarks.search.hypervolume import volume, volumes


def row(cell, arm, seed, loss, **more):
    return {"cell": cell, "arm": arm, "seed": seed, "test": {"loss": loss}, **more}


def test_sign_flips_are_scipys():
    differences = [0.3, -0.1, 0.2, 0.05, 0.4, -0.02]
    theirs = permutation_test((differences,), sum, permutation_type="samples", n_resamples=10**6)
    assert sign_flips(differences) == pytest.approx(theirs.pvalue)


def test_many_blocks_are_drawn_and_never_give_zero():
    assert 0 < sign_flips([1.0] * 30) < 1e-3


def test_holm_never_falls_and_ends_at_one():
    assert holm([0.01, 0.02, 0.6, 0.7]) == pytest.approx([0.04, 0.06, 1.0, 1.0])


def test_only_blocks_of_both_are_compared():
    stored = [row("a/1", "nest", s, 1.0) for s in range(3)]
    stored += [row("a/1", "eva", s, 2.0) for s in range(2)] + [row("b/1", "eva", 0, 9.0)]
    stored += [{"cell": "a/1", "arm": "eva", "seed": 2, "error": "Diverged"}]
    (found,) = against(stored, "nest")
    assert (found.arm, found.blocks, found.ratio) == ("eva", 2, pytest.approx(2.0))


def test_mean_ranks_share_ties():
    cells = list(itertools.product(("a/1", "b/1"), range(2)))
    stored = [row(c, "x", s, 1.0) for c, s in cells] + [row(c, "y", s, 2.0) for c, s in cells]
    stored += [row(c, "z", s, 2.0) for c, s in cells]
    found = ranks(stored, ("x", "y", "z"))
    assert dict(found.means) == {"x": 1.0, "y": 2.5, "z": 2.5}
    # Demšar 2006, table 5: q for three arms is 2.343
    assert found.critical == pytest.approx(2.343 * (3 * 4 / (6 * 4)) ** 0.5, abs=1e-3)


def test_regret_begins_where_all_blocks_have_something():
    stored = [
        row("a/1", "x", 0, 1.0, anytime=[(0.5, 4.0), (2.0, 2.0)]),
        row("b/1", "x", 0, 1.0, anytime=[(1.0, 1.0)]),
    ]
    curve = dict(regrets(stored)["x"])
    assert min(curve) == 1.0
    assert curve[1.0] == pytest.approx(0.5)  # twice the best in one block, the best in the other
    assert curve[2.0] == curve[10.0] == 0.0


def test_a_point_that_is_dominated_adds_nothing():
    assert volume([(0.2, 0.5), (0.4, 0.7)], (1.0, 1.0)) == pytest.approx(0.4)
    assert volume([(0.2, 0.5), (0.6, 0.25)], (1.0, 1.0)) == pytest.approx(0.4 + 0.1)


def test_hypervolumes_need_every_budget():
    stored = [row("a/1", "x", 0, 0.5, parameters=10), row("a/8", "x", 0, 0.4, parameters=80)]
    stored += [row("a/1", "y", 0, 0.6, parameters=10)]
    assert set(volumes(stored)["a"]) == {"x"}
