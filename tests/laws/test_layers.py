"""Every law over every example of every view, in every mode and form of the product."""

from collections.abc import Iterator

import pytest

from autolora.lora import views
from autolora.lora.example import Example
from autolora.testing.layers import GRADIENT_LAWS, LAWS, Law
from autolora.testing.stage import FORMS, MODES, Form, Mode, form

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


@pytest.fixture(params=FORMS)
def product(request: pytest.FixtureRequest) -> Iterator[Form]:
    with form(request.param):
        yield request.param


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law, example: Example, mode: Mode, product: Form) -> None:
    law(example, mode)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("law", GRADIENT_LAWS, ids=lambda law: law.__name__)
def test_gradient_law(law: Law, example: Example, mode: Mode, product: Form) -> None:
    law(example, mode)


def test_every_name_is_one_example() -> None:
    names = [example.name for view in views.all_views() for example in view.EXAMPLES]
    assert len(names) == len(set(names))
