"""Real weights: every target of each pretrained model, adapted at once.

`make models` runs all of them.
"""

from collections.abc import Callable, Iterator

import pytest
import whole
from rows import pretrained
from whole import Row

from autolora.lora import targets
from autolora.testing.stage import FORMS, Form, form

ROWS = [
    *(pytest.param(row, id=row.name) for row in pretrained.QUICK),
    *(pytest.param(row, id=row.name, marks=pytest.mark.slow) for row in pretrained.SLOW),
]
COUNTS = {
    "mobilenet_v2": 53,  # 52 convolutions and the head
    "resemblyzer": 25,  # 3 layers × 2 matrices × 4 gates, and the head
    "minilm": 40,  # 3 tables, 6 layers × 6 matrices, and the pooler
    "whisper_tiny_en": 69,  # 2 convolutions, 3 tables, 4 × 6 matrices and 4 × 10
    "smollm2": 211,  # the table, tied to the head, and 30 layers × 7 matrices
}

modes = pytest.mark.parametrize("mode", ["train", "eval"])


@pytest.fixture(params=ROWS)
def row(request: pytest.FixtureRequest, available: Callable[[str], None]) -> Row:
    available(request.param.name)
    return request.param


@pytest.fixture(params=FORMS)
def product(request: pytest.FixtureRequest) -> Iterator[Form]:
    with form(request.param):
        yield request.param


def test_every_matrix_is_a_target(row: Row) -> None:
    whole.every_matrix_is_a_target(row)
    assert len(targets(row.build())) == COUNTS[row.name]


@modes
def test_a_fresh_attach_changes_nothing(row: Row, mode: str) -> None:
    whole.a_fresh_attach_changes_nothing(row, mode)


@modes
def test_it_equals_the_dense_delta(row: Row, mode: str, product: Form) -> None:
    whole.it_equals_the_dense_delta(row, mode)


def test_gradients_follow_the_chain_rule(row: Row, product: Form) -> None:
    whole.gradients_follow_the_chain_rule(row, "eval")


def test_every_target_matters(row: Row) -> None:
    whole.every_target_matters(row)


def test_detach_restores(row: Row) -> None:
    whole.detach_restores(row, "eval")


def test_merged_equals_adapted(row: Row) -> None:
    whole.merged_equals_adapted(row, "eval")
