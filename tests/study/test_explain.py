"""The parts of an explanation on numbers that are checked by hand."""

import pytest
import torch
from torch import nn

import autolora
from autolora.artifacts.adapter import Adapter
from autolora.lora.targets import Target
from autolora.study.explain_more import offers, step, uniform_rank
from autolora.study.explain_parts import Weighed, depths, groups, kinds, weighed


def target(name: str, rows: int, columns: int, kind: str = "linear") -> Target:
    return Target(f"{name}.weight", name, "weight", None, kind, rows, columns)


def row(of: Target, rank: int, *gains: float) -> Weighed:
    return Weighed(of, rank, rank * of.cost, gains=gains)


THIN, WIDE = target("layers.0", 4, 6), target("layers.1", 10, 10)


def test_what_more_would_buy_beside_what_is_there() -> None:
    rows = (row(THIN, 1, 5.0, 1.0, 0.9), row(WIDE, 0, 1.5, 0.1))
    thin, wide = offers(rows)
    assert (thin.target, thin.rank, thin.parameters, thin.gain) == ("layers.0.weight", 2, 10, 1.0)
    assert (wide.target, wide.rank, wide.parameters, wide.gain) == ("layers.1.weight", 1, 20, 1.5)
    found = step(rows, budget=30)  # uniform rank 1
    assert found is not None
    assert (found.uniform_rank, found.parameters) == (2, 30)
    # 30 more: thin + wide bring 2.5 for 30; twice thin 1.9 for 20
    assert found.ranks == {"layers.0.weight": 1, "layers.1.weight": 1}
    assert found.gain == found.even_gain == 2.5
    assert found.spent == 30


def test_ranks_that_harm_are_not_bought() -> None:
    rows = (row(THIN, 1, 5.0, 1.0, -3.0), row(WIDE, 1, 1.5, -0.1))
    found = step(rows, budget=None)  # the size of the adapter stands for the budget
    assert found is not None
    assert found.ranks == {"layers.0.weight": 1}
    assert found.gain == 1.0
    assert found.even_gain == pytest.approx(0.9)


def test_without_scores_beyond_there_is_no_step() -> None:
    assert step((row(THIN, 2, 5.0, 1.0), row(WIDE, 1)), budget=60) is None
    assert offers((row(THIN, 2, 5.0, 1.0), row(WIDE, 1))) == ()
    assert step((row(THIN, 1, 5.0, 1.0),), budget=40) is None, "rank 4 is the highest there is"


def test_uniform_ranks_stop_where_small_matrices_do() -> None:
    assert uniform_rank([THIN, WIDE], 0) == 0
    assert uniform_rank([THIN, WIDE], 29) == 0
    assert uniform_rank([THIN, WIDE], 10 * 4 + 20 * 6) == 6
    assert uniform_rank([THIN, WIDE], 10**6) == 10


def test_shares_and_spectra_are_those_of_the_deltas() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Conv1d(4, 8, 1), nn.Linear(8, 3))
    found = autolora.targets(model)
    attached = autolora.attach(model, {"0.weight": 3, "1.weight": 1}, scale=0.5)
    for parameter in attached.parameters():
        nn.init.normal_(parameter)
    rows = weighed(found, Adapter.capture(model), {"0.weight": [3.0, 1.0, 1.0], "2.weight": [1.0]})
    up, down = (factor.double() for factor in Adapter.capture(model).factors["0.weight"])
    values = torch.linalg.svdvals(0.5 * up @ down)[:3]
    assert rows[0].values == pytest.approx(values.tolist())
    energies = values.square().cumsum(0) / values.square().sum()
    assert rows[0].enough == 1 + int((energies < 0.9).sum())
    assert [r.kept for r in rows] == [5.0, 0, 0]
    assert [r.cut for r in rows] == [0, 0, 1.0]
    by_kind = {part.name: part for part in kinds(rows)}
    linear = by_kind["linear"]
    assert (linear.targets, linear.adapted) == (2, 1)
    assert linear.parameters == pytest.approx(30 / (30 + 12))
    assert linear.energy == pytest.approx(rows[0].energy / (rows[0].energy + rows[1].energy))
    assert linear.gain == 1.0
    assert [part.name for part in depths(rows)] == ["0", "1", "2"]
    tied = groups(rows, {"mlp.1": ["0.weight"], "mlp.2": ["2.weight"]})
    assert [(part.name, part.targets) for part in tied] == [("mlp", 2), ("in no group", 1)]


def test_an_adapter_of_nothing_has_no_shares() -> None:
    (part,) = kinds((row(THIN, 0), row(WIDE, 0)))
    assert part.parameters is part.energy is part.gain is None
