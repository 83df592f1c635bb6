"""A model that does not use what was adapted would train in vain; the self-check says so."""

import copy

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import DeadTargets, NotAttached
from autolora.lora import Allocation, attach, check, targets, views
from autolora.lora.example import Example
from autolora.testing.stage import adapted, attach_everywhere, randomise, stage

pytestmark = pytest.mark.filterwarnings(
    "ignore:The PyTorch API of nested tensors",
    "ignore:LSTM with projections is not supported with oneDNN",
)
EXAMPLES = {e.name: e for view in views.all_views() for e in view.EXAMPLES}


class Router(nn.Module):
    """Uses its first path; the second is never called, the third meets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused, self.cut = (nn.Linear(4, 4) for _ in range(3))
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        cut = self.cut(x).detach()
        return {"out": self.drop(self.norm(self.used(x))) + cut, "count": torch.tensor(3)}


@pytest.fixture
def model() -> Router:
    torch.manual_seed(0)
    return Router()


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def run(model: nn.Module) -> dict[str, Tensor]:
    return model(X)


@pytest.mark.parametrize("fresh", [True, False])
def test_it_fires_and_names_the_targets(model: Router, *, fresh: bool) -> None:
    adapter = attach(model, {"used.weight": 1, "unused.weight": 1, "cut.weight": 1})
    if not fresh:
        randomise(adapter)
    with pytest.raises(DeadTargets) as error:
        check(model, run)
    assert str(error.value) == (
        "the adapter would train in vain: no gradient reaches: unused.weight, cut.weight; "
        "the output does not change with: unused.weight. "
        "Leave these targets out, or run the check with a batch that uses them"
    )


def test_it_fires_where_no_gradient_flows_at_all(model: Router) -> None:
    attach(model, {"used.weight": 1})

    def detached(model: nn.Module) -> Tensor:
        return model(X)["out"].detach()

    with pytest.raises(DeadTargets, match=r"no gradient reaches: used\.weight\. Leave"):
        check(model, detached)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_it_is_silent_on_good_models(example: Example, mode) -> None:
    made = stage(example, mode, torch.float32)
    attach_everywhere(made.model)
    check(made.model, lambda model: model(*made.inputs))
    trained = adapted(example, mode)
    check(trained.model, lambda model: model(*trained.inputs))


def test_it_leaves_everything_as_it_was(model: Router) -> None:
    adapter = randomise(attach(model, {"used.weight": 2}))
    model.norm.eval()
    torch.autograd.backward(model(X)["out"].sum())
    adapter.factors["used.weight"].down.requires_grad_(False)
    before, random = _state(model), torch.get_rng_state()
    check(model, run)
    assert _same(_state(model), before)
    assert torch.equal(torch.get_rng_state(), random)


def test_it_leaves_everything_as_it_was_when_the_run_fails(model: Router) -> None:
    randomise(attach(model, {"used.weight": 2}))
    before, calls = _state(model), iter(range(9))

    def fail(model: nn.Module) -> dict[str, Tensor]:
        if next(calls) == 2:  # the first two see the adapter as it is, the third a changed one
            raise ValueError("out of data")
        return model(X)

    with pytest.raises(ValueError, match="out of data"):
        check(model, fail)
    assert _same(_state(model), before)


def test_an_adapter_of_rank_0_has_nothing_to_check(model: Router) -> None:
    attach(model, {})
    check(model, run)


def test_it_needs_an_adapter(model: Router) -> None:
    with pytest.raises(NotAttached):
        check(model, run)


@pytest.mark.parametrize("full", [True, False])
def test_a_head_that_starts_at_zero_is_no_alarm(*, full: bool) -> None:
    """As in torchvision's vision transformer: no gradient passes until it is trained."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    nn.init.zeros_(model[2].weight)
    adapter = attach(model, {"0.weight": 1} if full else {"0.weight": 1, "2.weight": 1})
    if full:
        adapter.also_train("2")
    before = _state(model)
    check(model, lambda model: model(X))
    assert _same(_state(model), before)


def test_a_head_that_stays_zero_is() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    nn.init.zeros_(model[2].weight)
    attach(model, {"0.weight": 1})
    with pytest.raises(DeadTargets, match=r"0\.weight"):
        check(model, lambda model: model(X))


def test_one_adapter_of_several(model: Router) -> None:
    attach(model, {"used.weight": 1}, name="good")
    attach(model, {"unused.weight": 1}, name="bad")
    check(model, run, "good")
    with pytest.raises(DeadTargets, match=r"unused\.weight"):
        check(model, run, "bad")


def test_in_half_precision(model: Router) -> None:
    model.bfloat16()
    attach(model, Allocation({t.name: 1 for t in targets(model) if t.layer == "used"}))
    check(model, lambda model: model(X.bfloat16()))


def _state(model: nn.Module) -> list:
    return [
        copy.deepcopy(model.state_dict()),
        [module.training for module in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
    ]


def _same(found: list, wanted: list) -> bool:
    tensors = zip([*found[0].values(), *found[3]], [*wanted[0].values(), *wanted[3]], strict=True)
    equal = all(a is b or torch.equal(a, b) for a, b in tensors)
    return equal and found[1:3] == wanted[1:3]
