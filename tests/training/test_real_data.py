"""Training that survives: batches in parts, little memory, early ends, dropout of the base."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import OutOfMemory
from autolora.lora import Allocation
from autolora.metrics import metrics
from autolora.objectives.classification import objective
from autolora.space.proposal import Proposal
from autolora.training.batch import Batch
from autolora.training.evaluate import answered, values
from autolora.training.fit import Run, fit, train
from autolora.training.memory import ran_out
from autolora.training.modes import without_dropout
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared
from autolora.training.supervised import SupervisedTask

SETTINGS = TrainingSettings(steps=12, batch_size=16, evaluations=3)
PROPOSAL = Proposal(Allocation({"0.weight": 2}), learning_rate=3e-2)


@dataclass(frozen=True)
class Plane:
    """Points of a plane; those of the first class count for more."""

    count: int
    seed: int
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Tensor, augment: Any) -> Batch:
        points = torch.randn(self.count, 2, generator=torch.Generator().manual_seed(self.seed))
        labels = (points[:, 0] * points[:, 1] > 0).long()
        weights = 1 + 2.0 * (labels == 0)
        return Batch(points[indices], labels[indices], indices, weights[indices])


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        base = [nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.0)]
    return nn.Sequential(*base, nn.Linear(16, 2))


def plane(**changes: Any) -> SupervisedTask:
    splits = {name: Plane(50, seed) for seed, name in enumerate(("train", "valid", "test"))}
    given = {
        "network": network,
        "call": lambda model, points: model(points),
        "splits": splits,
        "objective": objective(),
        "metrics": metrics(["accuracy"]),
        "head": ("3",),
        "identity": "plane",
        "classes": 2,
    }
    return SupervisedTask(**(given | changes))


def changed(**settings: Any) -> TrainingSettings:
    return SETTINGS.model_copy(update=settings)


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_a_batch_in_parts_trains_the_same(parts):
    whole = fit(plane(), PROPOSAL, SETTINGS, seed=0)
    divided = fit(plane(), PROPOSAL, changed(accumulate=parts), seed=0)
    for name, (up, down) in whole.adapter.factors.items():
        torch.testing.assert_close(divided.adapter.factors[name][0], up, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(divided.adapter.factors[name][1], down, rtol=1e-4, atol=1e-5)
    assert divided.ledger.example_passes == whole.ledger.example_passes
    losses = [point.train_loss for point in whole.curve]
    assert [point.train_loss for point in divided.curve] == pytest.approx(losses, rel=1e-4)


def hungry(model: nn.Module, points: Tensor) -> Tensor:
    """Asks for more memory than any machine has, unless the batch is small."""
    if len(points) > 5:
        torch.empty(2**46, len(points))
    return model(points)


def test_a_batch_that_does_not_fit_is_told_with_what_it_cost():
    with pytest.raises(OutOfMemory, match="batch of 16 examples in 1 part") as raised:
        fit(plane(call=hungry), PROPOSAL, SETTINGS, seed=0)
    assert raised.value.parts == 1
    assert raised.value.ledger.example_passes == 2 * 16
    assert "lower training.batch_size" in str(raised.value)


def test_in_parts_it_fits_and_evaluation_is_divided_as_well():
    shared = Shared(parts=4)
    task = plane(call=hungry, evaluation_batch=16)
    found = train(Run(task, PROPOSAL, SETTINGS, 0), shared)
    assert len(found.curve) == 3
    with pytest.raises(OutOfMemory):
        train(Run(replace(task, evaluation_batch=64), PROPOSAL, SETTINGS, 0), shared)


def test_other_errors_are_not_taken_for_it():
    assert not ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert ran_out(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert ran_out(MemoryError())


def test_patience_ends_a_run_that_gets_no_better():
    wild = replace(PROPOSAL, learning_rate=1.0)
    long = changed(steps=60, evaluations=60, warmup=0.0)
    whole = fit(plane(), wild, long, seed=0)
    short = fit(plane(), wild, long.model_copy(update={"patience": 5}), seed=0)
    best = min(range(len(short.curve)), key=lambda i: short.curve[i].valid_loss)
    assert len(short.curve) == best + 6 < len(whole.curve)
    assert short.curve == whole.curve[: len(short.curve)]
    assert short.loss == short.curve[best].valid_loss
    assert not short.stopped


def test_a_base_without_dropout_answers_as_in_evaluation_while_it_trains():
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16,
    )  # fmt: skip
    models = [
        BertModel(config),
        nn.TransformerEncoderLayer(16, 2, 16, 0.5, batch_first=True),
        nn.LSTM(16, 8, 2, dropout=0.5, batch_first=True),
    ]
    for model, inputs in zip(
        models,
        (torch.arange(12).view(2, 6), torch.randn(2, 6, 16), torch.randn(2, 6, 16)),
        strict=True,
    ):
        expected = model.eval()(inputs)[0]
        assert not torch.allclose(model.train()(inputs)[0], expected)
        torch.testing.assert_close(without_dropout(model, but=())(inputs)[0], expected)


def test_the_heads_dropout_stays():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2)))
    without_dropout(model, but=("1",))
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.0, 0.5]


@pytest.mark.slow
def test_memory_stays_flat_over_many_trials(digits_file, weights_file):
    """The peak of the process after twenty trials is that after five, but for a little."""
    from autolora.lora import targets
    from autolora.tasks.image import task

    splits = {"train": 64, "valid": 64, "test": 10}
    digits = task(
        {"model": "mobilenet_v2", "data": {"path": "digits", "splits": splits}, "image_size": 32}
    )
    found = targets(digits.model())[:40]
    settings = TrainingSettings(steps=4, batch_size=32, evaluations=1)
    shared, peaks = Shared(), []
    for number in range(20):
        proposal = Proposal(Allocation.uniform(found, 1 + number % 8), learning_rate=1e-3)
        peaks.append(train(Run(digits, proposal, settings, number), shared).ledger.peak_bytes)
    assert peaks[-1] - peaks[4] < 0.05 * peaks[4]


def test_rank_0_without_a_head_measures_the_base():
    whole = network()
    task = plane(head=(), network=lambda: copy.deepcopy(whole))
    found = fit(task, Proposal(Allocation(), learning_rate=0.1), SETTINGS, seed=0)
    assert [point.step for point in found.curve] == [12]
    assert found.ledger.example_passes == 50
    assert found.adapter.parameters == 0
    model = task.model()
    found.adapter.attach_to(model)
    assert found.metrics == values(task.metrics, answered(model, task, "valid", final=False))
