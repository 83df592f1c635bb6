"""Every metric against torchmetrics' stateful class, hand-computed cases, and the edges."""

import math

import pytest
import torch
import torchmetrics
from torchmetrics import segmentation, text

import autolora.metrics
from autolora.errors import NoPredictions, UnknownName
from autolora.metrics import direction, metrics
from autolora.registry import names
from autolora.training.answers import Answers

GENERATOR = torch.Generator().manual_seed(7)
SPOKEN = ["the cat sat", "on mat", "", "a hat for a cat"]
WRITTEN = ["the cat sat", "on the mat", "oh", "a hat to a bat"]


def answers(predicted, expected, classes=None):
    count = len(predicted)
    losses = torch.linspace(0.1, 2, count).double()
    return Answers(losses, torch.ones(count).double(), predicted, expected, classes)


def value(name, *given, **more):
    return metrics([name])[name](answers(*given, **more))


def drawn(count, classes):
    return torch.randint(classes, (count,), generator=GENERATOR)


LABELS = {
    "accuracy": (torchmetrics.Accuracy, {}),
    "f1_score": (torchmetrics.F1Score, {"average": "macro"}),
    "precision": (torchmetrics.Precision, {"average": "macro"}),
    "recall": (torchmetrics.Recall, {"average": "macro"}),
    "matthews_corrcoef": (torchmetrics.MatthewsCorrCoef, {}),
}
NUMBERS = {
    "pearson_corrcoef": torchmetrics.PearsonCorrCoef,
    "spearman_corrcoef": torchmetrics.SpearmanCorrCoef,
    "mean_absolute_error": torchmetrics.MeanAbsoluteError,
    "mean_squared_error": torchmetrics.MeanSquaredError,
    "r2_score": torchmetrics.R2Score,
}
TEXTS = {"word_error_rate": text.WordErrorRate, "char_error_rate": text.CharErrorRate}


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", LABELS)
def test_labels_are_measured_as_by_the_stateful_class(name, classes):
    predicted, expected = drawn(60, classes), drawn(60, classes)
    kind, more = LABELS[name]
    stateful = kind(task="multiclass", num_classes=classes, **more)
    assert value(name, predicted, expected, classes) == pytest.approx(
        stateful(predicted, expected).item()
    )


@pytest.mark.parametrize("name", LABELS)
def test_several_labels_are_measured_as_by_the_stateful_class(name):
    predicted, expected = (drawn(80, 2).view(20, 4) for _ in range(2))
    kind, more = LABELS[name]
    stateful = kind(task="multilabel", num_labels=4, **more)
    got = value(name, predicted.bool(), expected.bool())
    assert got == pytest.approx(stateful(predicted, expected).item())


@pytest.mark.parametrize("name", LABELS)
def test_one_label_that_an_example_has_or_not(name):
    """Torchmetrics asks for two labels at least where there are several."""
    predicted, expected = drawn(40, 2), drawn(40, 2)
    kind, more = LABELS[name]
    stateful = kind(task="binary", **more)
    got = value(name, predicted.bool()[:, None], expected.bool()[:, None])
    assert got == pytest.approx(stateful(predicted, expected).item())


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_tokens_count_one_by_one(name):
    predicted, expected = drawn(30, 3), drawn(30, 3)
    parts = [list(values.split([4, 1, 20, 5])) for values in (predicted, expected)]
    assert value(name, *parts, 3) == value(name, predicted, expected, 3)


@pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef`")
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_measured_as_by_the_stateful_class(name):
    expected = torch.randn(50, generator=GENERATOR).double()
    predicted = expected + torch.randn(50, generator=GENERATOR).double()
    stateful = NUMBERS[name]().set_dtype(torch.float64)
    assert value(name, predicted.float(), expected.float()) == pytest.approx(
        stateful(predicted, expected).item(), rel=1e-5
    )


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_measured_as_by_the_stateful_class(name):
    assert value(name, SPOKEN, WRITTEN) == pytest.approx(TEXTS[name]()(SPOKEN, WRITTEN).item())


def test_perplexity_is_that_of_torchmetrics():
    logits = torch.randn(6, 9, 11, generator=GENERATOR).double()
    tokens = drawn(54, 11).view(6, 9)
    tokens[0, 2:] = -100
    losses = torch.nn.functional.cross_entropy(logits.mT, tokens, reduction="none")
    weights = (tokens != -100).sum(1).double()
    got = metrics(["perplexity"])["perplexity"](Answers(losses.sum(1) / weights, weights))
    assert got == pytest.approx(text.Perplexity(ignore_index=-100)(logits, tokens).item())


def test_mean_iou_is_that_of_torchmetrics():
    predicted, expected = (drawn(4 * 64, 3).view(4, 8, 8) for _ in range(2))
    predicted[0], expected[0] = 1, 1  # the other classes are absent
    stateful = segmentation.MeanIoU(num_classes=3, input_format="index")
    got = value("mean_iou", list(predicted.flatten(1)), list(expected.flatten(1)), 3)
    assert got == pytest.approx(stateful(predicted, expected).item())


def test_mean_iou_by_hand():
    predicted, expected = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    assert value("mean_iou", [predicted], [expected], 3) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_labels_by_hand():
    predicted, expected = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 1, 0])
    assert value("accuracy", predicted, expected, 2) == pytest.approx(3 / 5)
    assert value("f1_score", predicted, expected, 2) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert value("precision", predicted, expected, 2) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert value("recall", predicted, expected, 2) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert value("matthews_corrcoef", predicted, expected, 2) == pytest.approx(1 / 6)


def test_error_rates_by_hand():
    assert value("word_error_rate", ["a b x d"], ["a b c"]) == pytest.approx(2 / 3)
    assert value("char_error_rate", ["kitten"], ["sitting"]) == pytest.approx(3 / 7)


@pytest.mark.parametrize("name", TEXTS)
def test_where_nothing_is_expected_every_answer_is_an_error(name):
    assert value(name, ["a"], [""]) == 1
    assert value(name, ["", ""], ["", ""]) == 0
    assert value(name, ["a", "a"], ["", "a"]) == 1
    assert value(name, ["", "a"], ["a", "a"]) == 0.5


def test_a_long_text_is_compared_to_its_end():
    wrong = "x " * 200 + "a " * 100
    assert value("word_error_rate", [wrong], ["a " * 100]) == 2


def test_exact_match_is_of_whole_examples():
    assert value("exact_match", ["a b", "c"], ["a b", "d"]) == 0.5
    tokens = [torch.tensor([1, 2]), torch.tensor([3])]
    assert value("exact_match", tokens, [torch.tensor([1, 0]), torch.tensor([3])]) == 0.5
    predicted, expected = drawn(40, 2).view(20, 2), drawn(40, 2).view(20, 2)
    stateful = torchmetrics.ExactMatch(task="multilabel", num_labels=2)
    got = value("exact_match", predicted.bool(), expected.bool())
    assert got == pytest.approx(stateful(predicted, expected).item())


def test_a_class_absent_from_a_sample_does_not_count():
    predicted, expected = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0])
    for name in ("f1_score", "precision", "recall"):
        assert value(name, predicted, expected, 5) == value(name, predicted, expected, 2)


@pytest.mark.parametrize("name", ["pearson_corrcoef", "spearman_corrcoef"])
def test_constants_correlate_with_nothing(name):
    varied, constant = torch.tensor([0.1, 0.2, 0.4]), torch.full((3,), 0.1)
    assert value(name, constant, varied) == 0
    assert value(name, varied, constant) == 0


def test_nothing_is_explained_where_nothing_varies():
    assert value("r2_score", torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0])) == 0


@pytest.mark.parametrize("classes", [2, 5])
def test_one_class_alone_predicted_is_chance(classes):
    expected = torch.tensor([0, 1, 1, 1])
    for constant in (0, 1):
        predicted = torch.full_like(expected, constant)
        assert value("matthews_corrcoef", predicted, expected, classes) == 0


@pytest.mark.parametrize("name", names(autolora.metrics))
def test_a_metric_is_better_in_its_direction(name):
    right, wrong = _right_and_wrong(name)
    measure = metrics([name])[name]
    better, worse = measure(right), measure(wrong)
    assert math.isfinite(better)
    assert math.isfinite(worse)
    assert (better > worse) == (direction(name) == "maximize")
    assert isinstance(better, float)


@pytest.mark.parametrize("name", sorted({*names(autolora.metrics)} - {"loss", "perplexity"}))
def test_a_metric_of_predictions_says_that_it_needs_them(name):
    with pytest.raises(NoPredictions):
        metrics([name])[name](Answers(torch.ones(3), torch.ones(3)))


def test_the_loss_is_always_measured_and_first():
    assert list(metrics([])) == ["loss"]
    assert list(metrics(["recall", "loss", "recall"])) == ["loss", "recall"]


def test_a_misspelt_metric_is_refused_by_name():
    with pytest.raises(UnknownName, match='no metrics called "f1"'):
        metrics(["f1"])


def _right_and_wrong(name):
    few = torch.tensor([0.5, 1.0, 2.0])
    if name in ("loss", "perplexity"):
        return (Answers(losses, torch.ones(3).double()) for losses in (few, few + 1))
    if name in TEXTS:
        return answers(WRITTEN, WRITTEN), answers(SPOKEN, WRITTEN)
    if name in NUMBERS:
        return answers(few, few), answers(few.flip(0), few)
    expected = drawn(30, 3)
    wrong = expected.where(torch.arange(30) % 3 > 0, (expected + 1) % 3)
    if name == "mean_iou":
        return answers([expected], [expected], 3), answers([wrong], [expected], 3)
    return answers(expected, expected, 3), answers(wrong, expected, 3)
