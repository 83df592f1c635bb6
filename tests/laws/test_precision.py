"""The laws under autocast, checkpointing and torch.compile."""

import pytest

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

QUICK = ("linear", "conv2d_groups", "embedding", "attention")


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
def test_some_compiled_in_training(example: Example, product: Form) -> None:
    if example.name not in QUICK:
        pytest.skip("among the slow ones")
    with form(product):
        it_holds_compiled(example, "train")
