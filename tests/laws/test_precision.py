"""The laws under autocast, checkpointing and torch.compile."""

import pytest

from autolora.lora import views
from autolora.lora.example import Example
from autolora.testing.precision import (
    it_holds_compiled,
    it_holds_under_autocast,
    it_holds_under_checkpointing,
)
from autolora.testing.stage import FORMS, MODES, Form, Mode, form

pytestmark = [
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]

NAMES = ("linear", "conv2d_groups", "embedding", "attention")
QUICK = [e for view in views.all_views() for e in view.EXAMPLES if e.name in NAMES]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("product", FORMS)
def test_under_autocast(example: Example, mode: Mode, product: Form) -> None:
    with form(product):
        it_holds_under_autocast(example, mode)


@pytest.mark.parametrize("product", FORMS)
def test_under_checkpointing(example: Example, product: Form) -> None:
    with form(product):
        it_holds_under_checkpointing(example, "train")


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("product", FORMS)
def test_compiled(example: Example, mode: Mode, product: Form) -> None:
    with form(product):
        it_holds_compiled(example, mode)


@pytest.mark.parametrize("product", FORMS)
@pytest.mark.parametrize("example", QUICK, ids=lambda example: example.name)
def test_some_compiled_in_training(example: Example, product: Form) -> None:
    with form(product):
        it_holds_compiled(example, "train")
