"""Active sets: which adapters take part, with shares, for every layer type; the formula decides."""

import pytest
import torch
from torch import nn

from autolora.errors import NoScale, NotAttached
from autolora.lora import views
from autolora.lora.active import activate, active
from autolora.lora.attach import attach, attached
from autolora.lora.example import Example
from autolora.lora.merge import merge
from autolora.lora.targets import targets
from autolora.testing.stage import FORMS, Form, add_dense, close, form, randomise, same, stage

EXAMPLES = {e.name: e for view in views.all_views() for e in view.EXAMPLES}
SCALES = {"a": 0.7, "b": 1.3, "c": 0.2}
RANKS = {"a": 2, "b": 1, "c": 3}

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


def three(model: nn.Module) -> None:
    """Adapters of unequal ranks and scales."""
    known = targets(model)
    for seed, (name, rank) in enumerate(RANKS.items()):
        ranks = {t.name: min(rank, t.max_rank) for t in known}
        randomise(attach(model, ranks, scale=SCALES[name], name=name), seed=seed + 10)


@pytest.mark.parametrize("product", FORMS)
@pytest.mark.parametrize("shares", [{"a": 0.5, "c": -2.0}, {"b": 1.0}, {}])
def test_it_is_the_sum_with_shares(
    example: Example, shares: dict[str, float], product: Form
) -> None:
    made, plain = stage(example, "eval"), stage(example, "eval")
    three(made.model)
    for name, share in shares.items():
        adapter = attached(made.model, name)
        for part in adapter.factors.values():
            part.scale *= share
        add_dense(plain.model, adapter)
        for part in adapter.factors.values():
            part.scale /= share
    with form(product):
        activate(made.model, shares)
        close(made.answer(), plain.answer())
        assert active(made.model) == shares


def test_the_order_of_names_does_not_matter(example: Example) -> None:
    made = stage(example, "eval")
    three(made.model)
    with activate(made.model, {"a": 0.3, "b": 2.0}):
        first = made.answer()
    with activate(made.model, {"b": 2.0, "a": 0.3}):
        same(made.answer(), first)


def model() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)).double()
    for seed, name in enumerate(("a", "b")):
        randomise(attach(made, {"0.weight": 2, "2.weight": 1}, name=name), seed)
    return made


X = torch.randn(3, 6, dtype=torch.float64)


def test_a_context_ends_and_a_call_stays() -> None:
    made = model()
    both = made(X)
    with activate(made, "a"):
        assert active(made) == {"a": 1.0}
        with activate(made, ["b"]):
            assert active(made) == {"b": 1.0}
        assert active(made) == {"a": 1.0}
        only_a = made(X)
    assert torch.equal(made(X), both)
    activate(made, "a")
    assert torch.equal(made(X), only_a)


def test_it_ends_when_something_fails() -> None:
    made = model()
    with pytest.raises(ZeroDivisionError), activate(made, "a"):
        raise ZeroDivisionError
    assert active(made) == {"a": 1.0, "b": 1.0}


def test_merge_takes_the_active_sum() -> None:
    made = model()
    activate(made, {"a": 0.25})
    wanted = made(X)
    undo = merge(made)
    assert torch.allclose(made(X), wanted, atol=1e-12)
    undo.unmerge()
    assert active(made) == {"a": 0.25}


def test_an_adapter_learns_while_another_is_frozen() -> None:
    made = model()
    frozen = attached(made, "b").requires_grad_(False)
    made(X).sum().backward()
    assert all(p.grad is None for p in frozen.parameters())
    assert all(p.grad is not None for p in attached(made, "a").parameters())
    frozen.requires_grad_()
    made(X).sum().backward()
    assert all(p.grad is not None for p in frozen.parameters())


def test_an_idle_adapter_gets_no_gradient() -> None:
    made = model()
    with activate(made, "a"):
        made(X).sum().backward()
    assert all(p.grad is None for p in attached(made, "b").parameters())


def test_mistakes_change_nothing() -> None:
    made = model()
    with pytest.raises(NotAttached, match='activate under the name "c"'):
        activate(made, ["a", "c"])
    with pytest.raises(NoScale, match="nan"):
        activate(made, {"a": float("nan")})
    assert active(made) == {"a": 1.0, "b": 1.0}


def test_a_head_belongs_to_the_adapter_that_trains_it() -> None:
    made = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    attach(made, {"0.weight": 1}, name="a").also_train("1")
    attach(made, {"0.weight": 1}, name="b")
    attached(made, "b").requires_grad_(False)
    assert set(attached(made, "a").also) == {"1.weight", "1.bias"}
    assert all(p.requires_grad for p in attached(made, "a").parameters())
    assert attached(made, "b").also == {}
