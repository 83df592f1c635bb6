"""An adapter is put on a part, read or taken away through the whole, or the other way round."""

import copy
import threading

import pytest
import torch
from torch import nn

from autolora.lora import adapters, attach, attached, detach, merge
from autolora.testing.stage import randomise

X = torch.linspace(-1, 1, 18).view(3, 6)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


@pytest.fixture
def body() -> nn.Sequential:
    return network()


@pytest.fixture
def whole(body: nn.Sequential) -> nn.Sequential:
    """An adapted body in a model made later, with a head."""
    randomise(attach(body, {"0.weight": 2}))
    return nn.Sequential(body, nn.Linear(4, 3))


def test_the_whole_knows_the_adapter_of_its_part(whole: nn.Sequential) -> None:
    assert attached(whole).allocation == {"0.0.weight": 2}
    assert set(attached(whole).also) == {"1.weight", "1.bias"}  # still asks for a gradient


def test_detach_through_the_whole(whole: nn.Sequential) -> None:
    detach(whole)
    assert torch.equal(whole[0](X), network()(X))
    assert all(p.requires_grad for p in whole.parameters())
    assert not any("lora" in key for module in whole.modules() for key in vars(module))


def test_merge_through_the_whole(whole: nn.Sequential) -> None:
    answer = whole(X)
    merged = merge(whole)
    torch.testing.assert_close(whole(X), answer)
    merged.unmerge()
    assert torch.equal(whole(X), answer)
    detach(whole[0])
    assert torch.equal(whole[0](X), network()(X))


def test_a_second_adapter_on_the_whole(whole: nn.Sequential) -> None:
    first = whole[0](X)
    attach(whole, {"0.0.weight": 1, "1.weight": 1}, name="b")
    assert adapters(whole) == ("default", "b")
    assert torch.allclose(whole[0](X), first)
    detach(whole, "default")
    assert torch.equal(whole[0](X), network()(X))
    detach(whole)
    assert all(p.requires_grad for p in whole.parameters())


def test_detach_from_a_part_leaves_the_rest(body: nn.Sequential) -> None:
    model = nn.Sequential(body, nn.Linear(4, 3))
    randomise(attach(model, {"0.0.weight": 2, "1.weight": 1}))
    head = model[1](X[:, :4])
    detach(body)
    assert torch.equal(body(X), network()(X))
    assert torch.equal(model[1](X[:, :4]), head)
    assert attached(model).allocation == {"1.weight": 1}


def test_a_layer_under_two_names_of_two_parents(body: nn.Sequential) -> None:
    model = nn.ModuleDict({"a": nn.Sequential(body), "b": body})
    randomise(attach(model, {"a.0.0.weight": 2}))
    twin = copy.deepcopy(model)
    assert twin["a"][0] is twin["b"]
    assert torch.equal(twin["b"](X), model["a"](X))
    detach(model)
    assert torch.equal(model["b"](X), network()(X))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode], ids=lambda c: c.__name__)
def test_attached_without_gradients_it_trains_all_the_same(body: nn.Sequential, context) -> None:
    with context():
        adapter = randomise(attach(body, {"0.weight": 2}))
        body(X)
    torch.autograd.backward(body(X).sum())
    assert all(p.grad is not None and p.grad.any() for p in adapter.parameters())
    adapter.reset()


def test_threads_see_the_same(body: nn.Sequential) -> None:
    randomise(attach(body, {"0.weight": 2, "2.weight": 2}))
    wanted, found = body(X), []

    def work() -> None:
        found.extend(torch.equal(body(X), wanted) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 150


def test_on_no_device_at_all() -> None:
    with torch.device("meta"):
        model = network()
    adapter = attach(model, {"0.weight": 2})
    assert {p.device.type for p in adapter.parameters()} == {"meta"}
    assert model(X.to("meta")).shape == (3, 4)
    model.to_empty(device="cpu")
    model.load_state_dict({**network().state_dict()}, strict=False)
    adapter.reset()
    assert torch.equal(model(X), network()(X))
