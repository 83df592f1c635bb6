"""A mixture of experts: transformers stacks them in parameters of three dimensions."""

import pytest
import torch
from rows.mixtures import ROWS
from torch.testing import assert_close
from whole import SEED, stirred

from autolora.lora import targets
from autolora.testing.stage import add_dense, attach_everywhere, tensors

MIXTRAL = next(row for row in ROWS if row.name == "mixtral")
NAMES = ("gate_up_proj", "down_proj")
TOKENS = torch.arange(3, 21).view(2, 9)


def made() -> torch.nn.Module:
    """In float32: on a CPU the grouped product refuses float64."""
    torch.manual_seed(SEED)
    model = MIXTRAL.build().eval()
    model.set_experts_implementation("grouped_mm")
    return model


def test_each_expert_is_a_target_of_its_own() -> None:
    """In transformers 5, gate and up of all experts are one parameter and down is another."""
    model = made()
    experts = model.model.layers[0].mlp.experts
    assert experts.gate_up_proj.shape == (4, 2 * 48, 32)
    assert experts.down_proj.shape == (4, 32, 48)
    found = [t for t in targets(model) if t.layer == "model.layers.0.mlp.experts"]
    sizes = {name: [(t.rows, t.columns) for t in found if t.parameter == name] for name in NAMES}
    assert sizes == {"gate_up_proj": [(48, 32)] * 8, "down_proj": [(32, 48)] * 4}
    assert {t.kind for t in found} == {"expert"}


@pytest.mark.parametrize("gradients", [True, False])
def test_it_equals_the_dense_delta_by_the_grouped_product(gradients: bool) -> None:
    """Which multiplies tokens with all experts at once, from the whole parameter."""
    model, plain = made(), made()
    adapter = stirred(attach_everywhere(model))
    add_dense(plain, adapter)
    with torch.set_grad_enabled(gradients):
        found = tensors(model(input_ids=TOKENS, use_cache=False))
        wanted = tensors(plain(input_ids=TOKENS, use_cache=False))
    assert_close(found, wanted, atol=1e-5, rtol=1e-4)
