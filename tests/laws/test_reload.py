"""Saved here and loaded in a fresh process, an adapter answers exactly the same."""

from pathlib import Path

import pytest
from torch import Tensor

from autolora.lora import views
from autolora.lora.example import Example
from autolora.testing.reload import answers, factors, loaded_elsewhere, save_all
from autolora.testing.stage import MODES, Mode, close, same

MODULES = [view.__name__ for view in views.all_views()]

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    folder: Path = tmp_path_factory.mktemp("adapters")
    save_all(MODULES, folder)
    return loaded_elsewhere(MODULES, folder)


@pytest.mark.parametrize("mode", MODES)
def test_answers_are_the_same(example: Example, mode: Mode, elsewhere: dict[str, Tensor]) -> None:
    here = answers(example, mode)
    close([elsewhere[key] for key in here], list(here.values()), 1e-12)


def test_factors_are_the_same(example: Example, elsewhere: dict[str, Tensor]) -> None:
    here = factors(example)
    same([elsewhere[key] for key in here], list(here.values()))
