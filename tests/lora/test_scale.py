"""The number that multiplies the product: a rule of the rank, one number at each target."""

import math

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import NoScale
from autolora.lora import attach
from autolora.lora.scale import RULES
from autolora.testing.stage import randomise

RANKS = {"head.weight": 3, "stem.weight": 2, "blocks.0.in_proj_weight[key]": 4}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("constant", {2: 6.0, 3: 6.0, 4: 6.0}),
        ("alpha_over_rank", {2: 3.0, 3: 2.0, 4: 1.5}),
        ("alpha_over_root_rank", {2: 6 / math.sqrt(2), 3: 6 / math.sqrt(3), 4: 3.0}),
    ],
)
def test_rules(model: nn.Module, rule: str, wanted: dict[int, float]) -> None:
    adapter = attach(model, RANKS, scale=RULES[rule](6.0))
    assert adapter.scales == {name: wanted[rank] for name, rank in RANKS.items()}


def test_every_rule_is_tested() -> None:
    assert set(RULES) == {"constant", "alpha_over_rank", "alpha_over_root_rank"}


@pytest.mark.parametrize("scale", [0.25, -2.0, 0.0])
def test_it_multiplies_the_delta(model: nn.Module, x: Tensor, scale: float) -> None:
    base = model(x)
    part = randomise(attach(model, {"head.weight": 2}, scale=scale)).factors["head.weight"]
    features: list[Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    delta = scale * features_of(model, x, features) @ part.down.T @ part.up.T
    torch.testing.assert_close(model(x), base + delta)


def features_of(model: nn.Module, x: Tensor, features: list[Tensor]) -> Tensor:
    model(x)
    return features[0]


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_it_must_be_finite(model: nn.Module, scale: float) -> None:
    for given in (scale, lambda _: scale):
        with pytest.raises(NoScale, match=rf"^scale {scale} at rank 1 is no finite number; give"):
            attach(model, {"head.weight": 1}, scale=given)
        assert all(p.requires_grad for p in model.parameters())
