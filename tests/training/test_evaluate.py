import numpy as np
import pytest
import torch
from torch import nn

from autolora.lora import attach
from autolora.training.evaluate import evaluate, measured, per_example
from autolora.training.modes import evaluating, train


def test_intervals_are_those_of_the_normal_law_where_it_holds():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=2000)
    found = measured(values)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.2 * half)


def test_intervals_are_seeded():
    values = np.random.default_rng(1).exponential(size=300)
    assert measured(values) == measured(values)
    assert measured(values).low != measured(values, seed=1).low


def test_intervals_of_many_examples_are_drawn_in_parts(monkeypatch):
    values = np.random.default_rng(1).exponential(size=300)
    monkeypatch.setattr("autolora.training.evaluate._DRAWS_AT_ONCE", 7 * 300)
    found = measured(values)
    assert found.low < values.mean() < found.high


def test_every_metric_is_measured_on_the_split_asked_for(points):
    model = points.model()
    found = {split: evaluate(model, points, split) for split in ("valid", "test")}
    assert set(found["test"]) == {"loss", "accuracy"}
    assert found["test"] != found["valid"]
    with torch.no_grad():
        values = points.per_example(model.eval(), "test")
    for name, value in values.items():
        got = found["test"][name]
        assert got.value == pytest.approx(value.mean().item())
        assert got.low < got.value < got.high


def test_evaluation_is_without_dropout_and_gives_every_mode_back(points):
    model = train(points.model())
    modes = [module.training for module in model.modules()]
    one, same = (per_example(model, points, "valid")["loss"] for _ in range(2))
    assert torch.equal(one, same)
    assert not one.requires_grad
    assert [module.training for module in model.modules()] == modes


def test_modes_come_back_after_an_error(points):
    model = train(points.model())
    with pytest.raises(ZeroDivisionError), evaluating(model):
        _ = 1 / any(module.training for module in model.modules())
    assert model.training


def test_an_adapted_model_trains_on_after_an_evaluation(points):
    model = points.model()
    adapter = attach(model, {"0.weight": 1})
    per_example(model, points, "valid")
    batch = next(iter(points.batches("train", batch_size=50)))
    points.loss(train(model), batch).backward()
    assert all(part.up.grad.any() for part in adapter.factors.values())


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm1d(3),
        nn.SyncBatchNorm(3).eval(),
        nn.InstanceNorm1d(3, track_running_stats=True),
    ],
)
def test_training_mode_leaves_running_statistics_alone(layer):
    model = nn.Sequential(layer, nn.Dropout(0.5))
    train(model)
    before = layer.running_mean.clone()
    model(torch.randn(8, 3, 5))
    assert torch.equal(before, layer.running_mean)
    assert not layer.training
    assert model[1].training


def test_normalisation_without_running_statistics_trains_as_usual():
    assert train(nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)))[0].training
