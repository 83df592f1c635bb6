import numpy as np
import pytest
import torch
from torch import nn

from autolora.errors import NoPredictions
from autolora.lora import attach
from autolora.metrics import metrics
from autolora.training.answers import Answers, loss
from autolora.training.evaluate import answered, evaluate, measured, values
from autolora.training.modes import evaluating, train

METRICS = metrics(["accuracy", "perplexity"])


def of_losses(losses, weights=None):
    losses = torch.as_tensor(losses, dtype=torch.float64)
    return Answers(losses, torch.ones_like(losses) if weights is None else weights)


def labelled(count):
    generator = torch.Generator().manual_seed(4)
    expected = torch.randint(2, (count,), generator=generator)
    wrong = torch.rand(count, generator=generator) < 0.3
    losses = torch.rand(count, generator=generator).double()
    return Answers(losses, torch.ones(count).double(), expected ^ wrong.long(), expected, 2)


def test_intervals_are_those_of_the_normal_law_where_it_holds():
    losses = np.random.default_rng(1).normal(3.0, 2.0, size=2000)
    found = measured(loss, of_losses(losses))
    half = 1.96 * losses.std() / np.sqrt(2000)
    assert found.value == pytest.approx(losses.mean())
    assert found.low == pytest.approx(losses.mean() - half, abs=0.2 * half)
    assert found.high == pytest.approx(losses.mean() + half, abs=0.2 * half)


def test_intervals_of_other_metrics_are_too():
    answers = labelled(2000)
    hits = (answers.predicted == answers.expected).double()
    half = 1.96 * hits.std().item() / np.sqrt(2000)
    found = measured(METRICS["accuracy"], answers)
    assert found.value == pytest.approx(hits.mean().item())
    assert found.low == pytest.approx(hits.mean().item() - half, abs=0.3 * half)
    assert found.high == pytest.approx(hits.mean().item() + half, abs=0.3 * half)


def test_sums_and_resampled_answers_give_the_same_interval():
    answers = labelled(2000)
    summed, taken = measured(loss, answers), measured(loss.__call__, answers)
    assert summed.value == taken.value
    half = (summed.high - summed.low) / 2
    assert taken.low == pytest.approx(summed.low, abs=0.3 * half)
    assert taken.high == pytest.approx(summed.high, abs=0.3 * half)


def test_examples_count_by_their_weight():
    weights = torch.tensor([1.0, 0.0, 3.0]).double()
    assert measured(loss, of_losses([1.0, 100.0, 2.0], weights)).value == pytest.approx(7 / 4)


def test_intervals_are_seeded():
    answers = of_losses(np.random.default_rng(1).exponential(size=300))
    assert measured(loss, answers) == measured(loss, answers)
    assert measured(loss, answers).low != measured(loss, answers, seed=1).low


def test_intervals_of_many_examples_are_drawn_in_parts(monkeypatch):
    answers = of_losses(np.random.default_rng(1).exponential(size=300))
    monkeypatch.setattr("autolora.training.evaluate._DRAWS_AT_ONCE", 7 * 300)
    found = measured(loss, answers)
    assert found.low < answers.losses.mean().item() < found.high


def test_every_metric_is_measured_on_the_split_asked_for(points):
    model = points.model()
    found = {split: evaluate(model, points, split) for split in ("valid", "test")}
    assert set(found["test"]) == {"loss", "accuracy"}
    assert found["test"] != found["valid"]
    with torch.no_grad():
        answers = points.answer(model.eval(), points.data("test"), final=True)
    for name, metric in points.metrics.items():
        got = found["test"][name]
        assert got.value == pytest.approx(metric(answers))
        assert got.low < got.value < got.high


def test_metrics_that_need_predictions_are_left_out_where_there_are_none():
    answers = labelled(50)
    assert set(values(METRICS, answers)) == {"loss", "accuracy", "perplexity"}
    losses = of_losses(answers.losses)
    by_hand = {"loss": losses.losses.mean().item(), "perplexity": losses.losses.mean().exp().item()}
    assert values(METRICS, losses) == pytest.approx(by_hand)


def test_a_final_metric_without_its_predictions_is_refused(points):
    class Silent(type(points)):
        def answer(self, model, batch, *, final):
            return of_losses(torch.ones(len(batch[1])))

    with pytest.raises(NoPredictions, match="leave the metric out"):
        evaluate(points.model(), Silent(), "test")


def test_evaluation_is_without_dropout_and_gives_every_mode_back(points):
    model = train(points.model())
    modes = [module.training for module in model.modules()]
    one, same = (answered(model, points, "valid", final=False).losses for _ in range(2))
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
    answered(model, points, "valid", final=False)
    batch = next(iter(points.batches("train", batch_size=50)))
    points.loss(train(model), batch).backward()
    assert all(part.up.grad.any() for part in adapter.factors.values())


def test_answers_of_batches_are_joined_in_the_order_of_the_split():
    whole = labelled(10)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    joined = Answers.joined([whole.take(part) for part in order.split(3)], order)
    assert torch.equal(joined.losses, whole.losses)
    assert torch.equal(joined.predicted, whole.predicted)
    texts = [str(i) for i in range(10)]
    answers = Answers(whole.losses, whole.weights, texts, texts)
    assert Answers.joined([answers.take(p) for p in order.split(3)], order).predicted == texts


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
