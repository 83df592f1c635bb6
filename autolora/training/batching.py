"""Which examples go together: at random, or by length, so that little is padded."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from autolora.training.batch import Batch

_WINDOW = 50  # batches that are sorted by length together: their order stays random enough


def ordered(
    count: int, lengths: Tensor | None, batch_size: int, seed: int | None
) -> Iterator[Tensor]:
    """The indices of one pass, batch by batch; the last may be smaller.

    With a seed the pass is shuffled; with lengths, examples of a like length go together: each
    window of a shuffled pass is sorted by length, and its batches come in random order. Without a
    seed the order is that of the data, or of the lengths.

    Shapes: lengths (count,); each result at most (batch_size,).
    """
    if seed is None:
        every = torch.arange(count) if lengths is None else lengths.argsort(stable=True)
        yield from torch.split(every, batch_size)
        return
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(count, generator=generator)
    if lengths is None:
        yield from torch.split(shuffled, batch_size)
        return
    batches: list[Tensor] = []
    for window in torch.split(shuffled, _WINDOW * batch_size):
        by_length = torch.split(window[lengths[window].argsort(stable=True)], batch_size)
        batches += [by_length[i] for i in torch.randperm(len(by_length), generator=generator)]
    yield from batches


def counted(batches: Iterable[Any], batch_size: int, examples: int) -> Iterator[tuple[Any, int]]:
    """The batches of a pass over a split, each with how many examples it has.

    Those that are no `Batch` do not tell: all but the last are taken to be full.
    """
    for number, batch in enumerate(batches):
        known = len(batch.examples) if isinstance(batch, Batch) else 0
        yield batch, known or min(batch_size, examples - number * batch_size)
