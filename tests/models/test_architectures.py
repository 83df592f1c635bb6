"""Architectures from random weights: every target of each, adapted at once."""

from collections.abc import Iterator

import pytest
import whole
from rows import language, mixtures, speech, torchvisions, vision
from whole import Row

from autolora.testing.stage import FORMS, Form, form

pytestmark = pytest.mark.filterwarnings("ignore:.*is an Enum subclass:UserWarning")

_LARGE = [pytest.param(row, id=row.name, marks=pytest.mark.slow) for row in torchvisions.FULL]
ROWS = [
    *(
        pytest.param(row, id=row.name)
        for row in (*language.ROWS, *mixtures.ROWS, *vision.ROWS, *torchvisions.ROWS, *speech.ROWS)
    ),
    *_LARGE,
]

rows = pytest.mark.parametrize("row", ROWS)
modes = pytest.mark.parametrize("mode", ["train", "eval"])


@pytest.fixture(params=FORMS)
def product(request: pytest.FixtureRequest) -> Iterator[Form]:
    with form(request.param):
        yield request.param


@rows
def test_every_matrix_is_a_target(row: Row) -> None:
    whole.every_matrix_is_a_target(row)


@rows
@modes
def test_a_fresh_attach_changes_nothing(row: Row, mode: str) -> None:
    whole.a_fresh_attach_changes_nothing(row, mode)


@rows
@modes
def test_it_equals_the_dense_delta(row: Row, mode: str, product: Form) -> None:
    whole.it_equals_the_dense_delta(row, mode)


@rows
def test_gradients_follow_the_chain_rule(row: Row, product: Form) -> None:
    whole.gradients_follow_the_chain_rule(row, "train")


@rows
def test_every_target_matters(row: Row) -> None:
    whole.every_target_matters(row)


@rows
@modes
def test_detach_restores(row: Row, mode: str) -> None:
    whole.detach_restores(row, mode)


@rows
def test_merged_equals_adapted(row: Row) -> None:
    whole.merged_equals_adapted(row, "eval")
