"""Weights that something else computes or edits: a merged delta would be overwritten or lost."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from autolora.errors import NoSuchTarget, RefusedTarget
from autolora.lora import attach, refusals, targets

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.nn.utils.weight_norm` is deprecated", "ignore:Lazy modules are a new feature"
)

HOOK = (
    "0.weight cannot be adapted: a hook computes it (weight_norm, spectral_norm or pruning); "
    "bake it first: torch.nn.utils.remove_weight_norm, remove_spectral_norm, prune.remove"
)
PARAMETRISED = (
    "0.weight cannot be adapted: it is parametrised already; "
    "bake it first: torch.nn.utils.parametrize.remove_parametrizations(layer, name)"
)
CASES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "weight_norm": (lambda: parametrizations.weight_norm(nn.Linear(4, 3)), PARAMETRISED),
    "spectral_norm": (lambda: parametrizations.spectral_norm(nn.Linear(4, 3)), PARAMETRISED),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(4, 3)), PARAMETRISED),
    "old weight_norm": (lambda: nn.utils.weight_norm(nn.Linear(4, 3)), HOOK),
    "old spectral_norm": (lambda: nn.utils.spectral_norm(nn.Linear(4, 3)), HOOK),
    "max_norm": (
        lambda: nn.Embedding(5, 4, max_norm=1.0),
        "0.weight cannot be adapted: max_norm changes the table in place at each look-up; "
        "set max_norm to None",
    ),
    "lazy": (
        lambda: nn.LazyLinear(4),
        "0.weight cannot be adapted: its shape is not known yet; "
        "run one batch through the model first",
    ),
}


@pytest.mark.parametrize(("layer", "sentence"), CASES.values(), ids=CASES)
def test_refused_with_the_sentence(layer: Callable[[], nn.Module], sentence: str) -> None:
    model = nn.Sequential(layer(), nn.Linear(4, 4))
    assert [t.name for t in targets(model)] == ["1.weight"]
    assert "0.weight" in {refusal.name for refusal in refusals(model)}
    with pytest.raises(RefusedTarget) as error:
        attach(model, {"0.weight": 1, "1.weight": 1})
    assert str(error.value) == sentence
    assert all(p.requires_grad for p in model.parameters())  # nothing was done


@pytest.mark.parametrize(("layer", "sentence"), CASES.values(), ids=CASES)
def test_refused_as_a_model_of_its_own(layer: Callable[[], nn.Module], sentence: str) -> None:
    with pytest.raises(RefusedTarget) as error:
        attach(layer(), {"weight": 1})
    assert str(error.value) == sentence.removeprefix("0.")


def test_a_block_of_a_refused_weight() -> None:
    layer = parametrizations.weight_norm(nn.MultiheadAttention(4, 2), "in_proj_weight")
    with pytest.raises(RefusedTarget, match=r"^in_proj_weight cannot be adapted: it is param"):
        attach(layer, {"in_proj_weight[query]": 1})


def test_integers_are_refused() -> None:
    model = nn.Linear(4, 3)
    model.weight = nn.Parameter(torch.ones(3, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(RefusedTarget, match="no floating-point numbers; dequantise it first"):
        attach(model, {"weight": 1})


def test_no_room_for_the_factors() -> None:
    model = nn.ParameterDict({"table": nn.Parameter(torch.ones(3, 4))})
    with pytest.raises(RefusedTarget, match="no room for a child called lora; hold the parameter"):
        attach(model, {"table": 1})


def test_tied_to_a_refused_user() -> None:
    linear, table = nn.Linear(4, 5, bias=False), nn.Embedding(5, 4, max_norm=1.0)
    linear.weight = table.weight
    model = nn.ModuleDict({"a": linear, "b": table})
    assert targets(model) == ()
    assert [refusal.name for refusal in refusals(model)] == ["b.weight"]
    with pytest.raises(NoSuchTarget):
        attach(model, {"a.weight": 1})


def test_baked_it_is_a_target() -> None:
    layer = parametrizations.weight_norm(nn.Linear(4, 3))
    parametrize.remove_parametrizations(layer, "weight")
    attach(layer, {"weight": 1})


@pytest.mark.parametrize(
    "late",
    [parametrizations.weight_norm, parametrizations.spectral_norm, nn.utils.weight_norm],
    ids=["weight_norm", "spectral_norm", "old weight_norm"],
)
def test_an_adapted_weight_cannot_be_parametrised_silently(late) -> None:
    model = nn.Linear(4, 3)
    attach(model, {"weight": 1})
    with pytest.raises((ValueError, KeyError)):
        late(model)
