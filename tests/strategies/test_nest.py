"""NEST keeps its word on any task, and stops when time is up."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from autolora.nested.adapters import rebased
from autolora.nested.truncated import Truncated, sample
from autolora.spending import Work
from autolora.strategies import nest
from autolora.training.answers import Answers
from autolora.training.task import Split


def test_batches_that_do_not_tell_their_examples(terms_of, taught):
    class Plain(taught):
        """Pairs of points and answers, and one loss a batch, as a task of one's own may give."""

        def batches(
            self, split: Split, *, batch_size: int, seed: int | None = None
        ) -> Iterator[Any]:
            for batch in super().batches(split, batch_size=batch_size, seed=seed):
                yield batch.inputs, batch.targets

        def loss(self, model: nn.Module, batch: Any) -> Tensor:
            return (model(batch[0]) - batch[1]).square().mean()

        def answer(self, model: nn.Module, batch: Any, *, final: bool) -> Answers:
            size = torch.tensor([len(batch[0])], dtype=torch.float64)
            return Answers(self.loss(model, batch).double().view(1), size)

    terms = terms_of(Plain(), fine_tunes=4.0)
    found = nest.search(nest.OPTIONS(), Work(terms, 0))
    assert found.adapter.parameters <= terms.parameters
    assert found.example_passes <= terms.allowance
    spent = {stage.name: stage.example_passes for stage in found.ledger}
    for stage in nest.account(nest.OPTIONS(), terms)[:3]:
        assert spent[stage.name] <= stage.example_passes, stage.name


def test_time_that_is_up_ends_runs_that_are_gone_on_with(terms_of):
    terms = terms_of(fine_tunes=4.0)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return True

    found = nest.search(nest.OPTIONS(), Work(terms, 0, stop=stop))
    assert len(found.curve) == 1, "the last run ended at its first evaluation"
    assert len(asked) == 2, "the high run and the last one"
    assert found.adapter.parameters <= terms.parameters


def test_looking_draws_nothing_from_the_callers_generator(terms_of):
    terms = terms_of(fine_tunes=4.0)
    found = nest.search(nest.OPTIONS(), Work(terms, 0))
    before = torch.get_rng_state()
    truncated = Truncated(rebased(found.adapter), terms.task, terms.settings)
    truncated.losses(truncated.ranks, sample(terms.task, 32, seed=0))
    assert torch.equal(before, torch.get_rng_state())
