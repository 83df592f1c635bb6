"""A task whose right answer is known: a network that differs from its teacher in one layer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from autolora.lora import targets
from autolora.space.spec import SpaceSpec
from autolora.spending import Found, Work
from autolora.spending.work import Terms
from autolora.training.answers import Answers, Metric, loss
from autolora.training.batch import Batch
from autolora.training.settings import TrainingSettings
from autolora.training.task import Split

EXAMPLES = {"train": 200, "valid": 96, "test": 96}
SETTINGS = TrainingSettings(steps=40, batch_size=32, evaluations=4)


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 6)
    )


@dataclass
class Taught:
    """Regression on what the teacher answers."""

    network: Callable[[], nn.Module] = perceptron
    changed: str = "2.weight"  # by a delta of rank 3; the other layers are right already
    head: tuple[str, ...] = ()
    evaluation_batch: int = 100
    metrics: dict[str, Metric] = field(default_factory=lambda: {"loss": loss})

    def model(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return self.network()

    def teacher(self) -> nn.Module:
        model = self.model()
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(2)
            weight = model.get_parameter(self.changed)
            weight.add_(torch.randn(len(weight), 3) @ torch.randn(3, weight.shape[1]) / 4)
        return model

    @torch.no_grad()
    def data(self, split: Split) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(list(EXAMPLES).index(split))
        points = torch.randn(EXAMPLES[split], 8, generator=generator)
        return points, self.teacher()(points)

    def batches(self, split: Split, *, batch_size: int, seed: int | None = None) -> Iterator[Batch]:
        points, answers = self.data(split)
        order = torch.arange(len(points))
        if seed is not None:
            order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
        for some in order.split(batch_size):
            yield Batch(points[some], answers[some], some, torch.ones(len(some)))

    def examples(self, split: Split) -> int:
        return EXAMPLES[split]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self._losses(model, batch).mean()

    def answer(self, model: nn.Module, batch: Batch, *, final: bool) -> Answers:
        losses = self._losses(model, batch).double().cpu()
        return Answers(losses, batch.weights.double().cpu())

    def fingerprint(self) -> str:
        return "taught"

    def _losses(self, model: nn.Module, batch: Batch) -> Tensor:
        return (model(batch.inputs) - batch.targets).square().mean(1)


SPACE = {
    "ranks": [0, 1, 2, 4],
    "groups": [{"name": "all", "per": "layer"}],
    "training": {"learning_rate": {"low": 3e-3, "high": 3e-1}},
}


@pytest.fixture
def taught() -> type[Taught]:
    return Taught


@pytest.fixture
def terms_of():
    """Terms of a task: parameters, fine-tunes (FT), and how the scale follows from the rank."""

    def terms_of(
        task: Taught | None = None,
        parameters: int = 130,
        fine_tunes: float = 10.0,
        scale: tuple[str, float] = ("constant", 1.0),
    ) -> Terms:
        task = task or Taught()
        found = [target for target in targets(task.model()) if target.layer not in task.head]
        space = SpaceSpec.model_validate(SPACE).resolve(found)
        space = replace(space, scales=(scale,))
        whole = Terms(task, space, SETTINGS, parameters, 0)
        return replace(whole, allowance=int(fine_tunes * whole.fine_tune))

    return terms_of


@pytest.fixture
def terms(terms_of) -> Terms:
    """A budget between the uniform ranks 1 (78 parameters) and 2."""
    return terms_of()


@pytest.fixture
def keeps_its_word():
    """A check that every strategy must pass; gives what it found."""

    def check(strategy: ModuleType, terms: Terms, **options: object) -> Found:
        found = _checked(strategy, terms, options)
        # No run was stopped, so every stage cost exactly what was said.
        promised = strategy.account(strategy.OPTIONS(**options), terms)
        assert totals(found.ledger) == totals(promised)
        return found

    return check


@pytest.fixture
def keeps_within():
    """The same of a strategy that says what each stage costs at most, the last ones together."""

    def check(strategy: ModuleType, terms: Terms, **options: object) -> Found:
        found = _checked(strategy, terms, options)
        promised = totals(strategy.account(strategy.OPTIONS(**options), terms))
        assert found.example_passes <= sum(promised.values()) <= terms.allowance
        spent = totals(found.ledger)
        assert all(spent[name] <= promised[name] for name in spent if name in promised)
        assert set(spent) - set(promised) <= {"stretches", "final run"}
        return found

    return check


def _checked(strategy: ModuleType, terms: Terms, options: dict[str, object]) -> Found:
    given = strategy.OPTIONS(**options)
    work = Work(terms, seed=0)
    found = strategy.search(given, work)
    _check_budgets(found, terms)
    assert found.example_passes <= terms.allowance
    _check_again(strategy, given, work, found)
    assert found.loss == pytest.approx(valid_loss(terms.task, found), rel=1e-5)
    return found


def totals(stages) -> dict[str, int]:
    sums: dict[str, int] = {}
    for stage in stages:
        sums[stage.name] = sums.get(stage.name, 0) + stage.example_passes
    return sums


def valid_loss(task: Taught, found: Found) -> float:
    model = task.model()
    found.adapter.attach_to(model)
    points, answers = task.data("valid")
    with torch.no_grad():
        return (model(points) - answers).square().mean().item()


def _check_budgets(found: Found, terms: Terms) -> None:
    left = terms.parameters - found.adapter.parameters
    ranks = found.adapter.allocation
    assert left >= 0
    assert found.adapter.parameters == ranks.parameters(terms.space.targets)
    most, costs = terms.space.most_ranks, terms.costs
    assert all(rank <= most[name] for name, rank in ranks.items())
    higher = [name for name in costs if ranks.get(name, 0) < most[name]]
    assert all(costs[name] > left for name in higher), "one more rank would fit"


def _check_again(strategy: ModuleType, options, work: Work, found: Found) -> None:
    """Equal in a fresh journal, other with another seed, and free with the journal it has."""
    again = strategy.search(options, Work(work.terms, seed=0))
    assert again.adapter.digest == found.adapter.digest
    assert again.about == found.about
    other = strategy.search(options, Work(work.terms, seed=1))
    assert other.adapter.digest != found.adapter.digest
    before = dict(work.journal.entries)
    resumed = strategy.search(options, Work(work.terms, seed=0, journal=work.journal))
    assert work.journal.entries == before
    assert resumed.adapter.digest == found.adapter.digest
    assert resumed.ledger == found.ledger
