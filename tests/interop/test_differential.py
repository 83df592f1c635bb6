"""autolora and PEFT with the same factors: the dense sum decides, for ours always."""

import re
from dataclasses import replace

import peft_differences as table
import pytest
from peft_cases import CASES, Case
from peft_twins import MODES, answer, deltas, plain, with_autolora, with_dense, with_peft

import autolora
from autolora.testing.stage import FORMS, Form, close, form

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
    # Said of patterns for parameters, which do match: the ranks are as asked.
    pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(params=CASES, ids=BY_NAME)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.mark.parametrize("which", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_autolora_answers_as_the_dense_sum(case: Case, mode: str, which: Form) -> None:
    added = deltas(case)
    wanted = answer(with_dense(case, added), case, mode)
    with form(which):
        found = answer(with_autolora(case, added), case, mode)
    close(found, wanted, table.TOLERANCE)


def test_autolora_merges_to_the_dense_sum(case: Case) -> None:
    added = deltas(case)
    merged, wanted = with_autolora(case, added), with_dense(case, added).state_dict()
    autolora.merge(merged)
    assert list(merged.state_dict()) == list(wanted)
    close(list(merged.state_dict().values()), list(wanted.values()), table.TOLERANCE)


def test_peft_answers_as_the_table_says(case: Case) -> None:
    found = table.observed(case)
    assert tuple(outcome.word for outcome in found) == table.expected(case), found


def test_every_delta_matters(case: Case) -> None:
    """Otherwise equal answers would say nothing of it."""
    base = answer(plain(case), case, "no_grad")
    for delta in deltas(case):
        one = answer(with_dense(case, [delta]), case, "no_grad")
        assert (table.distance(one, base) > 1e-3) == (delta.layer not in case.silent)


def test_ranks_and_scales_are_unequal() -> None:
    added = deltas(BY_NAME["bigger conv1d net"])
    assert len({delta.rank for delta in added}) == len({delta.scale for delta in added}) == 2


def test_the_table_names_cases_that_differ() -> None:
    assert len(BY_NAME) == len(CASES)
    assert set(table.DIFFERENCES) <= set(BY_NAME)
    assert all(set(d.outcomes) != {table.SAME} for d in table.DIFFERENCES.values())


@pytest.mark.parametrize("name", ["attention", "attention, batch first"])
def test_peft_adds_the_delta_of_an_output_projection_twice(name: str) -> None:
    """So half of it gives the right answer."""
    case = BY_NAME[name]
    added = deltas(case)
    halved = [replace(d, up=d.up / 2) if d.layer.endswith("out_proj") else d for d in added]
    for mode in MODES:
        wanted = answer(with_dense(case, added), case, mode)
        close(answer(with_peft(case, halved), case, mode), wanted, table.TOLERANCE)


def test_the_page_is_the_table() -> None:
    """Up to numbers, which may differ in a digit from machine to machine."""
    stored, made = (re.sub(r"[\d.]+", "#", text) for text in (table.PAGE.read_text(), table.page()))
    assert stored == made
