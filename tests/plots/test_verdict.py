"""The verdict says better, tie or worse only where the numbers do."""

import json
import math
import statistics
from dataclasses import asdict, replace

import pytest

from autolora.plots.table import student_half_width
from autolora.plots.verdict import lines, table, verdict
from autolora.study.results import FinalRow


def compared(results, differences, metric="loss", uniform="uniform 2"):
    """The study with finals in which found minus uniform is as given, seed by seed."""
    numbers = {row.arm: row for row in table(results)}
    finals = []
    for seed, difference in enumerate(differences):
        base = 0.2 + 0.01 * seed
        for arm, value in (("search", base + difference), (uniform, base)):
            row = numbers[arm]
            finals.append(
                FinalRow(arm, row.trial, seed, row.parameters, metric, value, value - 0.02,
                         value + 0.02)
            )  # fmt: skip
    return replace(results, finals=tuple(finals))


@pytest.mark.parametrize(
    ("differences", "outcome", "opening"),
    [
        ((-0.03, -0.028, -0.032), "better", "The search found a better allocation"),
        ((0.03, 0.028, 0.032), "worse", "Uniform ranks win"),
        ((-0.03, 0.03, -0.01), "tie", "A tie"),
        ((0.0, 0.0, 0.0), "tie", "A tie"),
        ((-0.03,), "open", "Not decided yet"),
        ((), "open", "Not decided yet"),
    ],
)
def test_outcome_of_a_loss(results, differences, outcome, opening):
    said = verdict(compared(results, differences))
    assert said.outcome == outcome
    assert said.sentence.startswith(opening)


def test_higher_is_better_where_the_study_says_so(results):
    study = replace(results, objective=("accuracy",), directions=("maximize",))
    assert verdict(compared(study, (0.03, 0.031, 0.032), "accuracy")).outcome == "better"
    assert verdict(compared(study, (-0.03, -0.031, -0.032), "accuracy")).outcome == "worse"


def test_the_difference_is_paired_by_seed(results):
    study = compared(results, (-0.03, -0.01, -0.02))
    difference = verdict(study).difference
    assert difference.value == pytest.approx(-0.02)
    # t(0.975, 2) = 4.3027, standard deviation 0.01
    assert difference.high - difference.value == pytest.approx(
        4.3027 * 0.01 / math.sqrt(3), abs=1e-5
    )
    unpaired = replace(study, finals=tuple(f for f in study.finals if f.seed or f.arm == "search"))
    assert verdict(unpaired).difference.seeds == 2


def test_the_uniform_rival_is_the_largest_within_the_budget(results):
    assert verdict(results).uniform.arm == "uniform 2"
    wide = replace(results, budget_parameters=10**6)
    assert verdict(wide).uniform.arm == "uniform 4"
    assert verdict(replace(results, budget_parameters=None)).uniform.arm == "uniform 2"


def test_sizes_are_named(results):
    sentence = verdict(results).sentence
    said = verdict(results)
    assert f"{said.found.parameters:,} and {said.uniform.parameters:,}" in sentence
    equal = tuple(
        replace(t, parameters=said.uniform.parameters) if t.arm == "search" else t
        for t in results.trials
    )
    assert "at equal size" in verdict(replace(results, trials=equal)).sentence


def test_nothing_found_says_so(empty, failed):
    assert verdict(empty).outcome == "open"
    assert "no trial of the search is complete" in verdict(empty).sentence
    assert "5 trials ended, 5 of them failed" in verdict(failed).sentence


def test_nothing_to_compare_with_says_so(single):
    assert verdict(single).sentence.startswith("Nothing to compare with")


def test_unconfirmed_compares_on_validation(results):
    said = verdict(replace(results, finals=()))
    assert said.outcome == "open"
    assert f"Validation loss {said.found.loss:.4f} against {said.uniform.loss:.4f}" in said.sentence
    assert "the test split has not been opened" in said.sentence


def test_the_verdict_is_json(results):
    assert json.loads(json.dumps(asdict(verdict(results))))["outcome"] in ("better", "tie", "worse")


def test_one_row_an_arm_by_validation_loss(results):
    rows = table(results)
    assert {row.arm for row in rows} == {t.arm for t in results.trials}
    for row in rows:
        losses = [t.loss for t in results.trials if t.arm == row.arm and t.state == "complete"]
        assert row.loss == min(losses)
        assert row.trials == sum(t.arm == row.arm for t in results.trials)
    assert [row.loss for row in rows] == sorted(row.loss for row in rows)
    assert {row.arm for row in rows if row.over_budget} == {"uniform 4"}


def test_a_row_is_the_trial_that_was_confirmed(results):
    second = results.trials[8]
    finals = tuple(
        replace(f, trial=second.number) if f.arm == second.arm else f for f in results.finals
    )
    row = next(r for r in table(replace(results, finals=finals)) if r.arm == second.arm)
    assert row.trial == second.number
    assert row.test


def test_test_means_join_both_sources_of_chance(results):
    row = next(r for r in table(results) if r.arm == "uniform 2")
    values = [f.value for f in results.finals if (f.arm, f.metric) == ("uniform 2", "loss")]
    mean = next(m for m in row.test if m.metric == "loss")
    assert mean.value == pytest.approx(statistics.fmean(values))
    assert mean.seeds == 3
    assert mean.high - mean.value == pytest.approx(math.hypot(0.022, student_half_width(values)))


def test_lines_share_their_columns(results):
    found = lines(results)
    assert len({tuple(line) for line in found}) == 1
    assert {
        "arm",
        "ranks",
        "parameters",
        "valid loss",
        "test loss",
        "test accuracy",
        "trial",
    } <= set(found[0])
    head = next(line for line in found if line["arm"] == "head only")
    assert (head["ranks"], head["parameters"]) == ("none", 0)


def test_lines_of_nothing(empty):
    assert lines(empty) == []
