"""We read what PEFT writes, or refuse what PEFT adapts otherwise."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_adapters import Within, by_peft
from torch import Tensor, nn

import autolora
from autolora.errors import AdapterFile, NotPlainLora
from autolora.testing.stage import (
    close,
    differ,
)

# PEFT's own notices: no task type, a regex that its tied-weight check does not know.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(11, 8)
        self.embed = nn.Embedding(11, 8)
        self.wave = nn.Conv1d(8, 6, 3, padding=1)
        self.image = nn.Conv2d(1, 4, 3, stride=2)
        self.point = nn.Conv2d(4, 5, 1)
        self.body = nn.Sequential(nn.Linear(60, 12), nn.Tanh(), nn.Linear(12, 12))
        self.head = nn.Linear(12, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        waves = self.wave((self.embed(tokens) + self.embed_tokens(tokens)).transpose(1, 2))
        image = self.point(self.image(waves[:, None]))
        scores: Tensor = self.head(self.body(image.flatten(1)))
        return scores


ALL = ["embed", "wave", "image", "point", "0", "2"]
CONFIGS: dict[str, dict[str, Any]] = {
    "list": {"target_modules": ALL},
    "regex": {"target_modules": r"body\.[02]|wave"},
    "patterns": {
        "target_modules": ALL,
        "rank_pattern": {"body.0": 5, "^wave": 2},
        "alpha_pattern": {"body.*": 3, "body.0": 99, "image": 7},
    },
    "rslora": {"target_modules": ALL, "use_rslora": True, "lora_alpha": 5},
    "rslora patterns": {
        "target_modules": ALL,
        "use_rslora": True,
        "rank_pattern": {"body.0": 5},
        "alpha_pattern": {"point": 3},
    },
    "head": {"target_modules": ["wave"], "modules_to_save": ["head"]},
    "whole table beside it": {"target_modules": ["embed_tokens", "wave"]},
    "gaussian": {"target_modules": ["wave"], "init_lora_weights": "gaussian"},
}


@pytest.fixture
def mixed() -> Iterator[Callable[[], Mixed]]:
    def make() -> Mixed:
        torch.manual_seed(0)
        return Mixed().double().eval()

    return make  # type: ignore[return-value]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_we_answer_as_peft_does(
    config: dict[str, Any], mixed: Callable[[], Mixed], tmp_path: Path
) -> None:
    tokens = torch.randint(11, (3, 13), generator=torch.Generator().manual_seed(2))
    made = by_peft(mixed(), tmp_path / "a", **config)
    model = mixed()
    before = model(tokens)
    adapter = autolora.load(model, tmp_path / "a")
    close([model(tokens)], [made(tokens)])
    assert differ([before], [model(tokens)])
    assert set(adapter.also) == ({"head.weight", "head.bias"} if "head" in str(config) else set())


OTHERWISE: dict[str, Callable[[], nn.Module]] = {
    "grouped": lambda: nn.Conv1d(4, 4, 3, groups=2),
    "padded": lambda: nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
    "dilated": lambda: nn.Conv1d(4, 4, 3, padding="same", dilation=2),
}


@pytest.mark.parametrize("layer", OTHERWISE.values(), ids=OTHERWISE)
def test_what_peft_adapts_otherwise_is_refused(
    layer: Callable[[], nn.Module], tmp_path: Path
) -> None:
    by_peft(Within(layer()), tmp_path / "a", target_modules=["inner"])
    model = Within(layer())
    before = {n: type(m) for n, m in model.named_modules()}
    with pytest.raises(AdapterFile, match="that PEFT adapts otherwise than we"):
        autolora.load(model, tmp_path / "a")
    assert {n: type(m) for n, m in model.named_modules()} == before


def test_a_tied_layer_that_peft_adapted_alone_is_refused(tmp_path: Path) -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))

    def tied() -> nn.Module:
        made = model()
        made[1].weight = made[0].weight  # type: ignore[index]
        return made

    for number in ("0", "1"):
        by_peft(model(), tmp_path / number, target_modules=[number])
        with pytest.raises(AdapterFile, match="adapts otherwise"):
            autolora.load(tied(), tmp_path / number)


def test_an_adapter_of_peft_in_an_encoder_layer_is_read(tmp_path: Path) -> None:
    def model() -> nn.Module:
        torch.manual_seed(0)
        return Within(nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True))

    made = by_peft(model(), tmp_path / "a", target_modules=["linear1", "linear2"])
    ours, x = model(), torch.randn(2, 5, 8)
    autolora.load(ours, tmp_path / "a")
    torch.testing.assert_close(ours.eval()(x), made.train()(x))  # its eval mode forgets them


def test_dora_is_refused(mixed: Callable[[], Mixed], tmp_path: Path) -> None:
    by_peft(mixed(), tmp_path / "a", target_modules=["wave"], use_dora=True)
    with pytest.raises(NotPlainLora, match="DoRA"):
        autolora.load(mixed(), tmp_path / "a")
