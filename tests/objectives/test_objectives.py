"""Losses and answers of the objectives of this folder, from plain tensors and from outputs."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from autolora.metrics import metrics
from autolora.objectives import classification, multi_label, regression, segmentation
from autolora.training.answers import Answers
from autolora.training.batch import Batch

MODEL = nn.Identity()


def batch(targets):
    examples = torch.arange(len(targets))
    return Batch(None, targets, examples, torch.ones(len(targets)))


def answered(objective, output, targets):
    return objective.answered(MODEL, output, batch(targets), final=True)


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


CASES = {
    "classification": (classification.objective(), randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])),
    "multi_label": (multi_label.objective(), randn(6, 3), (randn(6, 3) > 0).float()),
    "regression": (regression.objective(), randn(6, 1), randn(2, 6)[1]),
    "segmentation": (
        segmentation.objective(),
        randn(6, 3, 4, 4),
        (randn(6, 4, 4) > 0).long(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_are_of_each_example_alone(name):
    objective, output, targets = CASES[name]
    losses = objective.losses(output, targets)
    assert losses.shape == (6,)
    one = torch.cat([objective.losses(output[i : i + 1], targets[i : i + 1]) for i in range(6)])
    assert torch.allclose(losses, one)


@pytest.mark.parametrize("name", CASES)
def test_outputs_of_transformers_are_read(name):
    objective, output, targets = CASES[name]
    wrapped = SimpleNamespace(logits=output)
    assert torch.equal(objective.losses(wrapped, targets), objective.losses(output, targets))


@pytest.mark.parametrize("name", CASES)
def test_losses_are_in_float32_at_any_precision(name):
    objective, output, targets = CASES[name]
    assert objective.losses(output.bfloat16(), targets).dtype == torch.float32


@pytest.mark.parametrize("name", CASES)
def test_a_step_against_the_gradient_makes_the_loss_smaller(name):
    objective, output, targets = CASES[name]
    scores = output.clone().requires_grad_()
    before = objective.losses(scores, targets).mean()
    (gradient,) = torch.autograd.grad(before, scores)
    assert objective.losses(output - 0.5 * gradient, targets).mean() < before


def test_classes_with_the_highest_score_are_answered():
    output = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.1, -1.0]])
    targets = torch.tensor([0, 2])
    predicted, expected = answered(classification.objective(), output, targets)
    assert predicted.tolist() == [0, 1]
    assert expected.tolist() == [0, 2]
    losses = classification.objective().losses(output, targets)
    assert losses.tolist() == pytest.approx((-output.log_softmax(1))[[0, 1], [0, 2]].tolist())


def test_labels_likelier_than_not_are_answered():
    output, targets = torch.tensor([[2.0, -1.0], [-0.1, 0.1]]), torch.tensor([[1.0, 0], [0, 0]])
    predicted, expected = answered(multi_label.objective(), output, targets)
    assert predicted.tolist() == [[True, False], [False, True]]
    assert expected.tolist() == [[True, False], [False, False]]
    likely = output.sigmoid()
    by_hand = -(targets * likely.log() + (1 - targets) * (1 - likely).log()).mean(1)
    assert torch.allclose(multi_label.objective().losses(output, targets), by_hand)


def test_the_error_of_numbers_is_squared():
    output, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 1.0])
    assert regression.objective().losses(output, targets).tolist() == [1, 4]
    assert regression.objective().losses(output[:, 0], targets).tolist() == [1, 4]
    predicted, expected = answered(regression.objective(), output, targets)
    assert predicted.tolist() == [1, 3]
    assert expected.tolist() == [0, 1]


def test_pixels_that_nobody_judged_do_not_count():
    output, targets = randn(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)
    targets[0, 0], targets[1] = segmentation.IGNORED, segmentation.IGNORED
    losses = segmentation.objective().losses(output, targets)
    by_hand = F.cross_entropy(output[:1, :, 1:], targets[:1, 1:])
    assert losses.tolist() == pytest.approx([by_hand.item(), 0])
    predicted, expected = answered(segmentation.objective(), output, targets)
    assert [len(p) for p in predicted] == [len(e) for e in expected] == [12, 0]
    assert torch.equal(predicted[0], output[0, :, 1:].argmax(0).flatten())


def test_scores_of_a_coarser_grid_are_brought_to_that_of_the_targets():
    coarse = torch.zeros(1, 2, 2, 2)
    coarse[0, 1, :, 1] = 5.0  # the right half is class 1
    coarse[0, 0, :, 0] = 5.0
    targets = torch.tensor([0, 0, 1, 1]).expand(1, 4, 4)
    for output in (coarse, {"out": coarse}, SimpleNamespace(logits=coarse)):
        predicted, expected = answered(segmentation.objective(), output, targets)
        assert torch.equal(predicted[0], expected[0])


def test_masks_are_measured_from_the_answers():
    objective, output, targets = CASES["segmentation"]
    predicted, expected = answered(objective, output, targets)
    losses = objective.losses(output, targets).double()
    answers = Answers(losses, torch.ones(6).double(), predicted, expected, 3)
    found = {name: of(answers) for name, of in metrics(["accuracy", "mean_iou"]).items()}
    assert found["accuracy"] == pytest.approx((output.argmax(1) == targets).double().mean().item())
    assert 0 < found["mean_iou"] < found["accuracy"]
