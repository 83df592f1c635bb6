from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from autolora.objectives import causal_lm, token_classification
from autolora.training.batch import Batch, mean_loss
from autolora.training.tokens import IGNORED, token_losses


@pytest.fixture
def scores():
    return torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))


TARGETS = torch.tensor(
    [
        [1, 2, 3, 4, 5],
        [6, IGNORED, 0, IGNORED, IGNORED],
        [IGNORED] * 5,
    ]
)


def test_losses_are_means_over_the_places_that_count(scores):
    losses = token_losses(scores, TARGETS)
    assert losses[0] == pytest.approx(F.cross_entropy(scores[0], TARGETS[0]).item())
    assert losses[1] == pytest.approx(F.cross_entropy(scores[1, [0, 2]], TARGETS[1, [0, 2]]).item())
    assert losses[2] == 0


def test_weighed_by_their_tokens_they_give_the_mean_over_all_tokens(scores):
    weights = (TARGETS != IGNORED).sum(1).float()
    whole = F.cross_entropy(scores.flatten(0, 1), TARGETS.flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(mean_loss(token_losses(scores, TARGETS), weights), whole)


def test_a_language_model_is_scored_one_token_ahead(scores):
    losses = causal_lm.objective().losses(SimpleNamespace(logits=scores), TARGETS)
    assert losses[0] == pytest.approx(F.cross_entropy(scores[0, :4], TARGETS[0, 1:]).item())
    assert losses[1] == pytest.approx(F.cross_entropy(scores[1, 1], TARGETS[1, 2]).item())


def test_tags_are_answered_where_there_are_any(scores):
    batch = Batch(None, TARGETS, torch.arange(3), torch.ones(3))
    answered = token_classification.objective().answered(
        torch.nn.Identity(), scores, batch, final=False
    )
    predicted, expected = answered
    assert [row.tolist() for row in expected] == [[1, 2, 3, 4, 5], [6, 0], []]
    assert torch.equal(predicted[1], scores[1, [0, 2]].argmax(1))
