"""A run that is left and gone on with is the run that was never left."""

import pytest
import torch

from autolora.lora.allocation import Allocation
from autolora.space.proposal import Proposal
from autolora.training.checkpoint import Checkpoint
from autolora.training.fit import Run, begin, train
from autolora.training.midway import Midway, about
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared
from tests.strategies.conftest import Taught

SETTINGS = TrainingSettings(steps=20, batch_size=32, evaluations=2, dropout=0.2)


@pytest.mark.parametrize("left", [3, 7, 13])  # within the first pass, at its end, and later
def test_equal_bits(left: int) -> None:
    proposal = Proposal(Allocation({"0.weight": 2, "2.weight": 3}), 3e-2)
    run = Run(Taught(), proposal, SETTINGS, 0)
    whole = train(run, Shared())
    begun = begin(run, Shared(), left)
    stored = Checkpoint.from_bytes(begun.checkpoint.to_bytes())
    rest = train(run, Shared(), start=stored)
    assert rest.adapter.digest == whole.adapter.digest
    assert rest.curve[-1].valid_loss == whole.curve[-1].valid_loss
    both = begun.ledger.example_passes + rest.ledger.example_passes
    late = sum(left >= step for step in SETTINGS.evaluation_steps)
    assert both == whole.ledger.example_passes - late * Taught().examples("valid")


@pytest.mark.parametrize("patience", [None, 2])
def test_a_run_left_at_an_evaluation_is_the_whole_run(patience: int | None) -> None:
    """Also the best state, which may lie before, and how long nothing better came."""
    proposal = Proposal(Allocation({"0.weight": 2, "2.weight": 3}), 3e-1)
    settings = SETTINGS.model_copy(update={"evaluations": 10, "patience": patience})
    run = Run(Taught(), proposal, settings, 0)
    stood: list[bytes] = []
    whole = train(run, Shared(), keep=lambda midway: stood.append(midway.to_bytes({"a": 1})))
    assert len(stood) == len(whole.curve) - 1
    assert patience is None or whole.loss < whole.curve[-1].valid_loss, "the best lies before"
    for content in stood:
        assert about(content) == {"a": 1}
        rest = train(run, Shared(), start=Midway.from_bytes(content))
        assert rest.adapter.digest == whole.adapter.digest
        assert (rest.loss, rest.metrics, rest.curve) == (whole.loss, whole.metrics, whole.curve)
        assert rest.ledger.example_passes == whole.ledger.example_passes


def test_a_run_that_another_version_left_is_about_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(Taught(), Proposal(Allocation({"2.weight": 2}), 1e-2), SETTINGS, 0)
    stood: list[Midway] = []
    train(run, Shared(), keep=stood.append)
    with monkeypatch.context() as other:
        other.setattr("autolora.training.midway.VERSION", 0)
        content = stood[0].to_bytes({"plan": "d"})
    assert about(content) == {}


def test_a_start_is_where_training_begins() -> None:
    proposal = Proposal(Allocation({"2.weight": 2}), 1e-2)
    first = train(Run(Taught(), proposal, SETTINGS, 0), Shared())
    still = SETTINGS.model_copy(update={"steps": 1, "evaluations": 1, "dropout": 0.0})
    barely = Proposal(proposal.allocation, 1e-12)
    again = train(Run(Taught(), barely, still, 1, first.adapter), Shared())
    assert again.loss == pytest.approx(first.loss, rel=1e-4)
    for name, (up, _) in again.adapter.factors.items():
        assert torch.allclose(up, first.adapter.factors[name][0], atol=1e-6)
