"""Allocations that begin alike share what comes before they differ, equal to the bit."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.artifacts.adapter import Adapter
from autolora.data.assets import fetch
from autolora.errors import FetchFailed
from autolora.lora import targets
from autolora.lora.attach import attach
from autolora.nested.sharing import KEPT_BYTES, LOOKED, LOOKS
from autolora.nested.truncated import Truncated, sample, size
from autolora.training.answers import Answers, Metric, loss
from autolora.training.batch import Batch
from autolora.training.settings import TrainingSettings
from autolora.training.task import Split

RANK, EXAMPLES = 3, 12
SETTINGS = TrainingSettings(steps=1, evaluations=1, batch_size=8)


@dataclass
class Rows:
    """Inputs with four classes, in the order of a split of their own."""

    network: Callable[[], nn.Module]
    inputs: dict[str, Tensor]
    head: tuple[str, ...] = ()
    evaluation_batch: int = 32
    dtype: torch.dtype = torch.float64
    metrics: dict[str, Metric] = field(default_factory=lambda: {"loss": loss})

    def model(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return self.network().to(self.dtype)

    def examples(self, split: Split) -> int:
        return len(next(iter(self.inputs.values())))

    def batches(self, split: Split, *, batch_size: int, seed: int | None = None) -> Iterator[Batch]:
        for at in torch.arange(self.examples(split)).split(batch_size):
            inputs = {name: value[at] for name, value in self.inputs.items()}
            yield Batch(inputs, at % 4, at, torch.ones(len(at)))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self._losses(model, batch).mean()

    def answer(self, model: nn.Module, batch: Batch, *, final: bool) -> Answers:
        return Answers(self._losses(model, batch).double(), batch.weights.double())

    def fingerprint(self) -> str:
        return "rows"

    def _losses(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(**batch.inputs), batch.targets, reduction="none")


def adapter_of(task: Rows) -> Adapter:
    """Random factors of every target, where products are large enough to be seen."""
    model = task.model()
    attached = attach(
        model, {t.name: min(RANK, t.max_rank) for t in targets(model) if t.max_rank > 1}, scale=0.5
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in attached.factors.values():
            part.up.copy_(0.2 * torch.randn(part.up.shape, generator=generator))
    return Adapter.capture(model)


def both(task: Rows, kept_bytes: int = KEPT_BYTES) -> tuple[Truncated, Truncated]:
    """One that shares, and one that does not."""
    adapter = adapter_of(task)
    return Truncated(adapter, task, SETTINGS, kept_bytes), Truncated(adapter, task, SETTINGS, 0)


def candidates(truncated: Truncated, every: int = 1) -> list[dict[str, int]]:
    """Targets cut alone, two allocations at random, two of them twice."""
    full = truncated.ranks
    generator = torch.Generator().manual_seed(3)

    def drawn() -> dict[str, int]:
        return {n: int(torch.randint(r + 1, (), generator=generator)) for n, r in full.items()}

    cuts = [{**full, name: rank // 2} for name, rank in list(full.items())[::every]]
    return [full, *cuts, {}, drawn(), drawn(), dict(full), dict(cuts[-1])]


def spared(task: Rows, kept_bytes: int = KEPT_BYTES, every: int = 1) -> float:
    """The share of the passes that was spared; all losses are those without sharing."""
    sharing, plain = both(task, kept_bytes)
    shown = sample(task, EXAMPLES, seed=0)
    offered = candidates(sharing, every)
    for found, ranks in zip(sharing.each(offered, shown), offered, strict=True):
        expected = plain.losses(ranks, shown)
        assert torch.equal(found.losses, expected.losses), ranks
        assert torch.equal(found.weights, expected.weights)
    whole = len(offered) * size(shown)
    assert plain.example_passes == whole
    for mine, other in zip(sharing.evaluations, plain.evaluations, strict=True):
        assert (mine.allocation, mine.sample) == (other.allocation, other.sample)
        assert mine.loss == other.loss
        assert mine.example_passes <= other.example_passes
    used = sum(each.example_passes for each in sharing.evaluations)
    assert used <= sharing.example_passes <= used + LOOKED * LOOKS
    return 1 - used / whole


class Layer(nn.Module):
    """Two products with a way around them, added up in place."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(F.relu_(self.up(x)))
        y += x
        return y


class Deep(nn.Module):
    """Layers one after another; a subclass may do something between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(6))
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.between(layer(x))
        return self.last(x)

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class InPlace(Deep):
    """Changes what a layer gave."""

    def between(self, x: Tensor) -> Tensor:
        return x.tanh_()


class Drawing(Deep):
    """Noise, in evaluation too."""

    def between(self, x: Tensor) -> Tensor:
        return x + 0.01 * torch.rand_like(x)


class Counting(Layer):
    """Gives something else at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = count()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + next(self.calls) % 7)


class Changing(Deep):
    def __init__(self) -> None:
        super().__init__()
        self.layers[2] = Counting()


class Left(Deep):
    """The first layer leaves something for the last one, past what it gives."""

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            x = self.between(layer(x))
            if number == 1:
                self.left = layer.down(F.relu(layer.up(x)))
        return self.last(x + self.left)


class Recurring(Deep):
    """One layer again and again, and one whose weight another multiplies by."""

    def forward(self, x: Tensor) -> Tensor:
        for number in (0, 1, 0, 2, 0):
            x = self.between(self.layers[number](x))
        tied = F.linear(x, self.layers[1].up.weight.T[:, :8].T)
        return self.last(x + F.linear(tied, self.layers[1].down.weight[:, :8]))


class Attending(nn.Module):
    """Torch's attention, which reads the weight of its last layer without a call of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.second = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x[:, None].expand(-1, 3, -1)))[:, 0])


class Hearing(nn.Module):
    """A recurrent layer, whose products torch does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.LSTM(8, 8, batch_first=True)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x)[:, None])[0][:, 0])


def rows(network: Callable[[], nn.Module]) -> Rows:
    generator = torch.Generator().manual_seed(0)
    return Rows(network, {"x": torch.randn(40, 8, generator=generator).double()})


@pytest.mark.parametrize(
    ("network", "least"), [(Deep, 0.3), (InPlace, 0.05), (Left, 0.2), (Recurring, 0.1)]
)
def test_shared_losses_are_equal_and_cost_less(
    network: Callable[[], nn.Module], least: float
) -> None:
    assert spared(rows(network)) > least


@pytest.mark.parametrize("network", [Attending, Hearing])
def test_shared_losses_are_equal_whatever_they_cost(network: Callable[[], nn.Module]) -> None:
    assert spared(rows(network)) >= 0


def test_products_that_torch_does_not_count_are_not_counted_as_spared() -> None:
    """Those of a recurrent layer in float32, on a CPU."""
    task = rows(Hearing)
    task.dtype = torch.float32
    task.inputs = {name: value.float() for name, value in task.inputs.items()}
    assert spared(task) == 0


def test_shares_are_those_of_the_multiplications() -> None:
    """Those that differ in one layer compute it and what comes after it."""
    task = rows(Deep)
    truncated, _ = both(task)
    shown = sample(task, 32, seed=0)[:1]
    whole = 6 * 2 * 8 * 16 + 8 * 4
    computed = 2 * 8 * 16 + 8 * 4
    truncated.each([{"layers.5.up.weight": rank} for rank in range(4)], shown)
    first, *others = sorted(each.example_passes for each in truncated.evaluations)[::-1]
    assert first == 32
    assert others == [math.ceil(32 * computed / whole)] * 3


@pytest.mark.parametrize("kept_bytes", [1, 3000])
def test_a_budget_that_holds_little_changes_no_loss(kept_bytes: int) -> None:
    assert 0 <= spared(rows(Deep), kept_bytes) < spared(rows(Deep))


@pytest.mark.parametrize("network", [Drawing, Changing])
def test_nothing_is_shared_where_equal_calls_give_different_things(
    network: Callable[[], nn.Module],
) -> None:
    task = rows(network)
    truncated, _ = both(task)
    shown = sample(task, EXAMPLES, seed=0)
    offered = candidates(truncated)
    truncated.each(offered, shown)
    assert all(each.example_passes == size(shown) for each in truncated.evaluations)
    assert truncated.pending == 0, "it is not looked at again"


def test_what_is_shared_is_not_computed() -> None:
    """Counted apart from the ledger: how often each layer multiplies."""
    task = rows(Deep)
    truncated, _ = both(task)
    shown = sample(task, EXAMPLES, seed=0)[:1]
    full = truncated.ranks
    truncated.each([full, full, full], shown)
    ran: list[str] = []
    model: Any = truncated._model
    for number, layer in enumerate(model.layers):
        layer.up.register_forward_hook(lambda *_, n=number: ran.append(f"up {n}"))
    last = "layers.5.up.weight"
    truncated.each([{**full, last: 0}, {**full, last: 1}, full], shown)
    assert ran == [*(f"up {n}" for n in range(6)), "up 5", "up 5"]


def test_nothing_stays_behind() -> None:
    task = rows(Deep)
    truncated, _ = both(task)
    truncated.each(candidates(truncated), sample(task, EXAMPLES, seed=0))
    assert truncated._sharing is not None
    assert not truncated._sharing._kept
    assert not any("forward" in vars(module) for module in truncated._model.modules())


def test_looking_costs_no_more_than_it_says() -> None:
    task = rows(Deep)
    truncated, _ = both(task)
    shown = sample(task, EXAMPLES, seed=0)
    most = truncated.most(3, shown)
    differing = [{"layers.0.up.weight": rank} for rank in (1, 2, 3)]
    truncated.each(differing, shown)
    assert 3 * size(shown) < truncated.example_passes <= most
    assert truncated.most(3, shown) == 3 * size(shown)


def test_scores_in_between_are_not_disturbed() -> None:
    """Gradients go another way through the model; what is shared before and after stays right."""
    task = rows(InPlace)
    sharing, plain = both(task)
    shown = sample(task, EXAMPLES, seed=0)
    offered = candidates(sharing)
    first = [each.mean for each in sharing.each(offered, shown)]
    gates = {name: torch.full((rank,), 0.5) for name, rank in sharing.ranks.items()}
    slopes = [each.slopes(gates, shown) for each in (sharing, plain)]
    assert all(torch.equal(slopes[0][name], slopes[1][name]) for name in gates)
    assert [each.mean for each in sharing.each(offered, shown)] == first


def test_minilm() -> None:
    try:
        fetch("minilm")
    except FetchFailed as error:
        pytest.skip(str(error))
    from autolora.data.minilm import minilm
    from autolora.data.sentence_classifier import SentenceClassifier

    generator = torch.Generator().manual_seed(0)
    words = torch.randint(1000, 20_000, (6, 7), generator=generator)
    mask = (torch.arange(7) < torch.randint(3, 8, (6, 1), generator=generator)).long()
    task = Rows(
        lambda: SentenceClassifier(minilm(), "bert", "mean", 4),
        {"input_ids": words * mask, "attention_mask": mask},
    )
    assert spared(task, every=5) > 0.2


def test_mobilenet(weights_file: Any) -> None:
    from autolora.data.models import mobilenet_v2

    pixels = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    task = Rows(lambda: mobilenet_v2(4), {"x": pixels})
    assert spared(task, every=7) > 0.1
