"""The frozen base on some training batches, before anything is trained."""

import itertools
from collections.abc import Iterator
from typing import Any

from torch import nn

from autolora.spending.work import Terms, Work
from autolora.training.batch import Batch
from autolora.training.batching import counted
from autolora.training.cost import trained_examples
from autolora.training.device import choose
from autolora.training.meter import Meter
from autolora.training.modes import train, without_dropout
from autolora.training.seeds import derived, seeded

_ORDER = 11  # the purpose of a derived seed


def base(work: Work) -> tuple[nn.Module, int]:
    """The model that runs of this seed start from, without dropout, and what its head cost."""
    task, settings = work.terms.task, work.terms.settings
    device = choose(settings.device)
    meter = Meter(device)
    with seeded(work.seed, device):
        model = task.model().to(device)
        if settings.head_start == "probe":
            work.shared.start_head(task, model, settings, meter)
    model.requires_grad_(False)
    return train(without_dropout(model, but=())), meter.ledger().example_passes


def batches(work: Work, count: int) -> Iterator[tuple[Any, float, int]]:
    """Some training batches in a random order, divided as the settings say.

    Each part comes with its share of the weight of its batch, and how many examples it has.
    """
    task, settings = work.terms.task, work.terms.settings
    order = derived(work.seed, _ORDER)
    every = task.batches("train", batch_size=settings.batch_size, seed=order)
    each = counted(every, settings.batch_size, task.examples("train"))
    for batch, examples in itertools.islice(each, count):
        if not isinstance(batch, Batch):
            yield batch, 1.0, examples
            continue
        total = batch.weights.sum().item()
        for part in batch.parts(settings.accumulate * work.shared.parts):
            yield part, part.weights.sum().item() / total, len(part.examples)


def sampled(terms: Terms, count: int) -> tuple[int, int]:
    """How many batches a pass over the data has of those asked for, and their examples."""
    size = terms.settings.batch_size
    count = min(count, -(-terms.task.examples("train") // size))
    return count, trained_examples(terms.task, size, count)
