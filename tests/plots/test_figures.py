"""Each figure draws whatever a study holds, and its numbers are right."""

import json
import math
from collections import OrderedDict
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from itertools import pairwise

import pytest
from plotly.io import to_json
from torch import nn

from autolora.lora.targets import targets
from autolora.plots import figures
from autolora.plots.figures import (
    candidates,
    curves,
    history,
    importance,
    intervals,
    ledger,
    pareto,
    ranks,
    stages,
)
from autolora.plots.look import BLUE, GREY, ORANGE, colour
from autolora.plots.measure import Measure, measure, ranking, within_budget
from autolora.plots.winner import winner

NAMES = tuple(figures.plots())
STUDIES = ("results", "worked", "empty", "single", "failed")


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("name", NAMES)
def test_draws_any_study(name, study, request):
    plot = figures.load(name)
    data = plot.data(request.getfixturevalue(study))
    figure = plot.draw(data)
    # strict JSON: a browser refuses NaN
    content = json.loads(to_json(figure, validate=True), parse_constant=pytest.fail)
    assert bool(content["data"]) != bool(content["layout"].get("annotations"))
    assert len(to_json(figure)) < 100_000


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_a_frozen_dataclass_and_words_are_there(name, results):
    plot = figures.load(name)
    data = plot.data(results)
    assert is_dataclass(data)
    with pytest.raises(FrozenInstanceError):
        setattr(data, fields(data)[0].name, None)
    assert plot.TITLE
    assert plot.CAPTION.endswith(".")
    assert plot.CAPTION.count(". ") == 0


def test_reading_order():
    assert NAMES[:3] == ("pareto", "ranks", "stages")
    assert set(NAMES) == {
        "candidates", "curves", "history", "importance", "intervals", "ledger", "pareto",
        "ranks", "stages",
    }  # fmt: skip


def test_only_what_a_study_can_answer_is_shown(results, worked, empty):
    sampled = {figure.name for figure in figures.drawn(results)}
    assert sampled == set(NAMES) - {"stages", "candidates"}
    assert {figure.name for figure in figures.drawn(empty)} == sampled
    assert {figure.name for figure in figures.drawn(worked)} == set(NAMES) - {"importance"}


def test_a_diverged_trial_does_not_count(results):
    nan = replace(results.trials[20], state="complete", loss=math.nan, metrics={"loss": math.nan})
    study = replace(results, trials=(*results.trials, replace(nan, number=99)))
    assert ranking(study) == ranking(results)
    for plot in figures.plots().values():
        plot.draw(plot.data(study))


def test_history_follows_the_best_that_keeps_the_budget(results):
    data = history.data(results)
    values = [value for _, value in data.best]
    kept = [
        t.loss
        for t in results.trials
        if t.state == "complete" and within_budget(results, t.parameters)
    ]
    assert values == sorted(values, reverse=True)
    assert values[-1] == min(kept)
    assert data.best[-1][0] == 35
    over = {mark.arm for mark in data.marks if mark.group == "over budget"}
    assert over == {"uniform 4"}
    assert min(mark.value for mark in data.marks if mark.value is not None) < values[-1]


def test_history_of_a_metric_to_maximise_rises(results):
    study = replace(results, objective=("accuracy",), directions=("maximize",))
    data = history.data(study)
    values = [value for _, value in data.best]
    assert values == sorted(values)
    assert not data.measure.lower_is_better


def test_history_counts_the_failed(results):
    marks = history.data(results).marks
    assert [m.trial for m in marks if m.state == "failed"] == [17, 29]
    assert all(m.value is None for m in marks if m.state == "failed")


def test_the_front_is_what_nothing_beats(results):
    data = pareto.data(results)
    for point in data.front:
        assert not any(
            (other.parameters <= point.parameters and other.value < point.value)
            or (other.parameters < point.parameters and other.value <= point.value)
            for other in data.search
        )
    values = [point.value for point in data.front]
    assert values == sorted(values, reverse=True)
    assert min(p.value for p in data.search) == values[-1]


def test_the_front_turns_with_the_direction():
    points = tuple(pareto.Point(str(p), p, v) for p, v in ((1, 0.5), (2, 0.7), (3, 0.6)))
    up = pareto.front(points, Measure("accuracy", lower_is_better=False))
    assert [point.parameters for point in up] == [1, 2]
    down = pareto.front(points, Measure("loss", lower_is_better=True))
    assert [point.parameters for point in down] == [1]


def test_pareto_joins_the_best_of_each_uniform_rank(results):
    data = pareto.data(results)
    assert [p.label.split(" ", 1)[1] for p in data.uniform] == [
        "uniform 1",
        "uniform 2",
        "uniform 4",
    ]
    best = min(t.loss for t in results.trials if t.arm == "uniform 2")
    assert data.uniform[1].value == best
    assert data.head_only == min(t.loss for t in results.trials if t.arm == "head only")
    assert data.budget_parameters == results.budget_parameters


def test_rank_rows_are_the_trials_own_allocations(results):
    data = ranks.data(results)
    by_number = {trial.number: trial for trial in results.trials}
    assert len(data.columns) == len(results.targets)
    assert len({row.ranks for row in data.rows}) == len(data.rows) == ranks.ROWS
    for row in data.rows:
        trial = by_number[int(row.label.split()[0][1:])]
        assert {
            column.target: rank
            for column, rank in zip(data.columns, row.ranks, strict=True)
            if rank
        } == dict(trial.allocation)


def test_rank_columns_keep_stages_together(results):
    stages = [column.stage for column in ranks.data(results).columns]
    assert stages[:2] == ["features.0", "features.1"]
    assert stages[-1] == "classifier.1"
    changes = 1 + sum(a != b for a, b in pairwise(stages))
    assert changes == len(set(stages)) == 20


def test_an_absent_target_has_no_colour(results):
    data = ranks.data(results)
    heat = ranks.draw(data).data[0]
    for row, shown in zip(data.rows, heat.z, strict=True):
        assert [z is None for z in shown] == [rank == 0 for rank in row.ranks]
        assert all(2**z == pytest.approx(r) for z, r in zip(shown, row.ranks, strict=True) if r)


def test_trials_over_the_budget_come_last_in_the_map(results):
    within = [
        row.parameters <= results.budget_parameters
        for row in ranks.data(replace(results, trials=results.trials[:16])).rows
    ]
    assert within == sorted(within, reverse=True)
    assert not within[-1]


def test_curves_highlight_the_trial_that_trained_the_best_result(results):
    assert [c.trial for c in curves.data(results).curves if c.best] == [results.best]
    reused = replace(results, best=31)
    assert [c.trial for c in curves.data(reused).curves if c.best] == [25]


def test_curves_of_many_trials_are_thinned_to_the_best(results):
    row = results.trials[-2]
    many = tuple(
        replace(row, number=n, state="complete", loss=1 / (n + 1), metrics={}) for n in range(300)
    )
    data = curves.data(replace(results, trials=many, best=299))
    assert len(data.curves) == curves.MOST
    assert data.left_out == 300 - curves.MOST
    assert min(c.trial for c in data.curves) == 300 - curves.MOST


def test_importance_sums_to_one_largest_first(results):
    shares = importance.data(results).shares
    assert sum(s.share for s in shares) == pytest.approx(1)
    assert shares[0].name == "learning_rate"
    assert shares[0].targets == 0
    late = next(s for s in shares if s.name == "rank.late depthwise")
    assert late.targets == len(results.groups["late depthwise"])
    assert [s.share for s in shares] == sorted((s.share for s in shares), reverse=True)


def test_the_ledger_adds_up(results):
    data = ledger.data(results)
    assert data.trials == 36
    assert data.example_passes == sum(t.example_passes for t in results.trials)
    assert data.example_passes == sum(e.example_passes for e in data.entries)
    assert data.trials == sum(e.trials for e in data.entries)
    assert data.peak_bytes == max(t.peak_bytes for t in results.trials)
    assert data.reused == 1
    assert data.run_passes == results.trials[0].example_passes
    heads = next(e for e in data.entries if e.arm == "head only")
    assert heads.example_passes / data.run_passes == 3


def test_the_ledger_of_failures_alone_has_no_unit(failed):
    data = ledger.data(failed)
    assert data.run_passes is None
    assert data.runs is None
    assert data.example_passes == 5000


def test_intervals_show_every_confirmed_arm_with_its_seeds(results):
    data = intervals.data(results)
    assert data.metric == measure(results).name == "loss"
    assert {arm.arm for arm in data.arms} == {t.arm for t in results.trials}
    for arm in data.arms:
        assert [seed for seed, _ in arm.seeds] == [0, 1, 2]
        assert arm.mean.low < arm.mean.value < arm.mean.high


@pytest.mark.parametrize(
    ("model", "stages"),
    [
        (nn.LSTM(4, 5), {""}),
        (
            nn.Sequential(OrderedDict(body=nn.TransformerEncoderLayer(8, 2), head=nn.Linear(8, 2))),
            {"body.self_attn", "body.self_attn.out_proj", "body.linear1", "body.linear2", "head"},
        ),
        (
            nn.ModuleDict({"layers": nn.ModuleList(nn.MultiheadAttention(8, 2) for _ in range(3))}),
            {"layers.0", "layers.1", "layers.2"},
        ),
    ],
)
def test_any_model_has_a_map(results, model, stages):
    found = targets(model)
    row = replace(results.trials[3], allocation={target.name: 2 for target in found})
    study = replace(results, targets=found, trials=(row,))
    data = ranks.data(study)
    assert {column.stage for column in data.columns} == stages
    assert len(ranks.draw(data).data[0].x) == len(found)
    assert set(winner(study).ranks) == stages


def test_stages_add_up_to_the_ledger(worked):
    data = stages.data(worked)
    assert data.fine_tune == worked.works[0].ledger[0].example_passes
    for work in worked.works:
        mine = [c for c in data.costs if (c.arm, c.seed) == (work.arm, work.seed)]
        assert [c.stage for c in mine] == [stage.name for stage in work.ledger]
        assert sum(c.example_passes for c in mine) == sum(s.example_passes for s in work.ledger)
    assert data.costs[0].arm == "search"
    assert data.allowed == {"search": 2 * data.fine_tune}
    bars = [trace for trace in stages.draw(data).data if trace.type == "bar"]
    high = next(trace for trace in bars if trace.name == "high rank, plain")
    assert list(high.x) == pytest.approx([0.9] * 3)


def test_stages_of_one_name_are_one_part(worked):
    row = worked.works[0]
    study = replace(worked, works=(replace(row, ledger=row.ledger * 3),))
    (cost,) = stages.data(study).costs
    assert cost.example_passes == 3 * row.ledger[0].example_passes
    assert cost.seconds == 3 * row.ledger[0].seconds


def test_the_race_keeps_what_took_a_stretch(worked):
    data = candidates.data(worked)
    assert (data.arm, data.seed) == ("search", 0)
    assert len(data.candidates) == candidates.MOST
    about = next(w for w in worked.works if w.arm == "search").about
    assert data.left_out == len(about["candidates"]) - candidates.MOST
    ended = {f"{c.name}, {key}": loss for c in data.candidates for key, loss in c.stretches.items()}
    assert ended == about["stretches"], "the last of the race is shown too if it trained on"
    chosen = [(c.name, c.chosen) for c in data.candidates if c.chosen is not None]
    assert chosen == [("gates, trust 0.75", "rate 0.3")]
    dropped = {c.name for c in data.candidates if c.dropped}
    few = {c["name"] for c in about["candidates"] if c["examples"] == 32}
    assert dropped == few & {c.name for c in data.candidates}


def test_a_stretch_at_one_rate_goes_by_the_allocation(worked):
    row = next(w for w in worked.works if w.arm == "search")
    about = {**row.about, "stretches": {"uniform": 0.4, "energy, trust 1": 0.5}}
    study = replace(worked, works=(replace(row, about={**about, "chosen": "uniform"}),))
    found = {c.name: (dict(c.stretches), c.chosen) for c in candidates.data(study).candidates}
    assert found["uniform"] == ({"": 0.4}, "")
    assert found["energy, trust 1"] == ({"": 0.5}, None)
    (last,) = [t for t in candidates.draw(candidates.data(study)).data if "end" in t.name]
    assert (list(last.x), list(last.y)) == ([0.4], ["uniform"])


def test_a_choice_without_a_race_is_drawn(worked):
    row = next(w for w in worked.works if w.arm == "search")
    believed = [{**each, "loss": None, "examples": 0} for each in row.about["candidates"][:2]]
    about = {**row.about, "candidates": believed}
    data = candidates.data(replace(worked, works=(replace(row, about=about),)))
    assert {trace.name for trace in candidates.draw(data).data} == {
        "after a stretch",
        "trained to the end",
    }


def test_a_whole_search_is_no_training_run(worked):
    data = ledger.data(worked)
    assert data.run_passes == worked.works[0].about.get("fine_tune", data.run_passes)
    entry = next(e for e in data.entries if e.arm == "search")
    assert entry.example_passes / data.run_passes == 2
    untold = tuple(replace(work, about={}) for work in worked.works)
    assert ledger.data(replace(worked, works=untold)).run_passes == data.run_passes


def test_other_strategies_are_in_the_front_and_no_uniform_ranks(worked):
    data = pareto.data(worked)
    assert [point.label for point in data.beside] == ["#1 eva"]
    assert all("uniform" in point.label for point in data.uniform)
    assert "other strategies" in {trace.name for trace in pareto.draw(data).data}
    assert colour("uniform 2") == ORANGE
    assert colour("eva") not in (BLUE, GREY, ORANGE)
