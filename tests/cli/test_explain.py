"""`autolora explain`: what a study found and why, for strategies of both sorts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from autolora.study.study import Study
from tests.cli.conftest import TINY, Place

RANKS = 2  # the highest of the space, and so of the run at a high rank


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with a finished study of the strategy nest, and uniform ranks beside it."""
    home = tmp_path_factory.mktemp("explained")
    made = Place(home, {"AUTOLORA_STORAGE": f"sqlite:///{home}/study.db"})
    made.study(
        name="nested",
        strategy="nest",
        training={"steps": 24, "batch_size": 16, "evaluations": 2},
        budget={"ft": 4.0, "uniform_rank": 1},
    )
    ran = made("search", "nested")
    assert ran.returncode == 0, ran.stderr
    return made


@pytest.fixture(scope="module")
def opened(nested: Place) -> Study:
    return Study.open("nested", nested.storage)


@pytest.fixture(scope="module")
def told(nested: Place) -> Any:
    ran = nested("explain", "nested", "--arm", "search", "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_shares_add_up_in_every_division(told: Any) -> None:
    assert set(told["parts"]) == {"kind", "family", "depth"}
    for parts in told["parts"].values():
        for share in ("parameters", "energy", "gain"):
            assert sum(part[share] for part in parts) == pytest.approx(1)
        assert sum(part["targets"] for part in parts) == len(told["targets"])
        assert sum(part["adapted"] for part in parts) == sum(t["rank"] > 0 for t in told["targets"])


def test_targets_are_those_of_the_stored_adapter(told: Any, opened: Study) -> None:
    found = opened.arm("search")
    ranks = {each["target"]: each["rank"] for each in told["targets"] if each["rank"]}
    assert ranks == dict(found.trial.allocation)
    assert sum(each["parameters"] for each in told["targets"]) == found.trial.parameters
    for each in told["targets"]:
        if each["rank"]:
            up, down = found.adapter.factors[each["target"]]
            dense = found.adapter.scales[each["target"]] * up.double() @ down.double()
            values = torch.linalg.svdvals(dense)[: each["rank"]].tolist()
            assert each["values"] == pytest.approx(values, rel=1e-6, abs=1e-12)
            assert each["energy"] == pytest.approx(float(dense.square().sum()))
        else:
            assert each["values"] == []


def test_cut_and_kept_are_the_stored_scores(told: Any, opened: Study) -> None:
    (work,) = [w for w in opened.results().works if (w.arm, w.seed) == ("search", 0)]
    assert told["scored"]["name"] == work.about["scored"]
    for each in told["targets"]:
        scores = work.about["scores"][each["target"]]
        assert len(scores) == RANKS
        assert each["kept"] == pytest.approx(sum(scores[: each["rank"]]))
        assert each["cut"] == pytest.approx(sum(scores[each["rank"] :]))
    offers = {(each["target"], each["rank"]): each["gain"] for each in told["offers"]}
    assert offers == {
        (each["target"], each["rank"] + 1): work.about["scores"][each["target"]][each["rank"]]
        for each in told["targets"]
        if each["rank"] < RANKS
    }


def test_the_next_step_is_paid_by_the_next_uniform_rank(told: Any, opened: Study) -> None:
    step, targets = told["step"], opened.results().targets
    assert step["uniform_rank"] == 2
    assert step["parameters"] == sum(target.cost for target in targets)
    assert 0 < step["spent"] <= step["parameters"]
    assert step["gain"] >= max(0.0, step["even_gain"]), "the best use is as good as an even one"


def test_the_ledger_is_the_trials_cost(told: Any, opened: Study) -> None:
    trial = opened.arm("search").trial
    assert sum(each["example_passes"] for each in told["spent"]) == trial.example_passes
    assert trial.example_passes <= told["allowance"] == 4 * told["fine_tune"]
    uniform = opened.arm("uniform 1").trial
    assert told["fine_tune"] == uniform.example_passes, "an arm of one allocation is one FT"
    assert sum(each["fine_tunes"] for each in told["account"]) <= 4.0


def test_people_read_the_verdict_first(nested: Place, told: Any) -> None:
    ran = nested("explain", "nested", "--arm", "search")
    assert ran.returncode == 0, ran.stderr
    assert told["verdict"]["sentence"] in ran.stdout
    assert told["verdict"]["bias"] in ran.stdout
    for each in told["targets"]:
        assert each["target"] in ran.stdout
    assert "gain cut" in ran.stdout
    assert "FT of 4.00 were spent" in ran.stdout
    assert "Uniform rank 2 would be" in ran.stdout
    assert "scores of single ranks" not in ran.stdout


def test_a_plain_arm_is_explained_by_the_scores_of_the_search(nested: Place) -> None:
    ran = nested("explain", "nested", "--arm", "uniform 1", "--json")
    told = json.loads(ran.stdout)
    assert told["scored"]["arm"] == "search"
    assert {each["rank"] for each in told["targets"]} == {1}
    assert told["account"] == []
    assert any("ledger" in what for what in told["missing"])


def test_a_sampled_study_says_what_is_missing(finished: Place) -> None:
    ran = finished("explain", "digits", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["scored"] is told["step"] is None
    assert told["offers"] == told["tried"] == []
    assert sum(part["energy"] for part in told["parts"]["kind"]) == pytest.approx(1)
    assert any(what.startswith("scores of single ranks") for what in told["missing"])
    said = finished("explain", "digits").stdout
    assert "not known: scores of single ranks" in said
    assert "gain cut" not in said


def test_an_arm_that_is_not_there(nested: Place) -> None:
    ran = nested("explain", "nested", "--arm", "serch")
    assert ran.returncode == 2
    assert "serch" in ran.stderr
    assert not ran.stdout


def test_best_and_trials_name_the_strategy(nested: Place) -> None:
    trials = nested("trials", "nested").stdout
    assert "all work of nest" in trials
    best = nested("best", "nested").stdout
    assert "{" not in best, "a strategy's options are told in words"


def test_the_small_study_searches_by_a_sampler(finished: Place) -> None:
    """Else the test of what is missing tests nothing."""
    results = Study.open("digits", finished.storage).results()
    assert not results.works
    assert Path(finished.folder / "study.db").exists()
    assert TINY["space"]["ranks"][-1] == RANKS
