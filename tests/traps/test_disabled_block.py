"""What happens to an adapter while it is disabled must not be lost when the block ends."""

import copy

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import Disabled
from autolora.lora import adapters, attach, detach, disabled, merge
from autolora.testing.stage import randomise

X = torch.linspace(-1, 1, 18).view(3, 6)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


@pytest.fixture
def base(model: nn.Module) -> Tensor:
    return model(X)


def test_an_error_inside_leaves_the_adapter_on(model: nn.Module, base: Tensor) -> None:
    randomise(attach(model, {"0.weight": 2}))
    answer = model(X)

    def fail() -> None:
        with disabled(model):
            assert torch.equal(model(X), base)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert torch.equal(model(X), answer)


def test_one_in_another(model: nn.Module, base: Tensor) -> None:
    randomise(attach(model, {"0.weight": 2}))
    answer = model(X)
    with disabled(model):
        with disabled(model):
            assert torch.equal(model(X), base)
        assert torch.equal(model(X), base)
    assert torch.equal(model(X), answer)


def test_a_part_alone(model: nn.Module) -> None:
    randomise(attach(model, {"0.weight": 2, "2.weight": 2}))
    half = copy.deepcopy(model)
    detach(half[0])
    with disabled(model[0]):
        assert torch.equal(model(X), half(X))


def test_detached_inside_it_stays_away(model: nn.Module, base: Tensor) -> None:
    randomise(attach(model, {"0.weight": 2}))
    with disabled(model):
        detach(model)
    assert torch.equal(model(X), base)
    assert adapters(model) == ()


def test_one_of_two_detached_inside(model: nn.Module) -> None:
    randomise(attach(model, {"0.weight": 2}, name="a"), 1)
    only_a = model(X)
    randomise(attach(model, {"0.weight": 2}, name="b"), 2)
    with disabled(model):
        detach(model, "b")
    assert torch.equal(model(X), only_a)


def test_merge_and_attach_are_refused_inside(model: nn.Module, base: Tensor) -> None:
    randomise(attach(model, {"0.weight": 2}))
    answer = model(X)
    with disabled(model):
        with pytest.raises(Disabled, match=r"are disabled; leave autolora\.disabled"):
            merge(model)
        with pytest.raises(Disabled):
            attach(model, {"2.weight": 1}, name="b")
        assert torch.equal(model(X), base)
    assert torch.equal(model(X), answer)
    assert adapters(model) == ("default",)


def test_a_copy_made_inside_is_no_half_thing(model: nn.Module, base: Tensor) -> None:
    randomise(attach(model, {"0.weight": 2}))
    with disabled(model):
        twin = copy.deepcopy(model)
    assert torch.equal(twin(X), base)
    with pytest.raises(Disabled):
        merge(twin)
    detach(twin)
    assert all(p.requires_grad for p in twin.parameters())
    assert adapters(model) == ("default",)


def test_a_weight_assigned_by_the_user_is_the_base_from_then_on(model: nn.Module) -> None:
    """Assigning a parameter clears what shadows it in the layer; it is cast again."""
    part = randomise(attach(model, {"0.weight": 2})).factors["0.weight"]
    model[0].weight = nn.Parameter(torch.ones(5, 6))
    torch.testing.assert_close(model[0].weight.dense(), 1 + part.dense())
    merge(model)
    torch.testing.assert_close(model[0].weight, 1 + part.dense())
