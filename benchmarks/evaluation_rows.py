"""Allocations of one high run, evaluated with what they share computed once and without."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from autolora.artifacts.adapter import Adapter
from autolora.lora.allocation import Allocation
from autolora.lora.mixed import mixed
from autolora.nested.adapters import cut, rebased
from autolora.nested.candidates import Room, placements
from autolora.nested.choose import Choosing, choose, sample_size
from autolora.nested.gate import ALLOCATIONS, random_allocations
from autolora.nested.local import proposed
from autolora.nested.room import room_of
from autolora.nested.scores import around
from autolora.nested.sharing import KEPT_BYTES
from autolora.nested.truncated import SAMPLED, Losses, Part, Ranks, Sample, Truncated, sample, size
from autolora.spending import Memory, Work
from autolora.spending.rates import learning_rates
from autolora.spending.work import Terms
from autolora.training.batch import Batch
from autolora.training.shared import Shared
from benchmarks.search.cells import CELLS

STEPS, ALLOWANCE = 20, 0.24  # of the high run; of choosing, in FT, as `nest` has it of 2 FT
STACKED = (2, 4, 8)  # candidates in one batch


@dataclass(frozen=True)
class Row:
    """Seconds for all candidates without and with sharing, turn by turn."""

    cell: str
    name: str
    examples: int
    candidates: int
    without: tuple[float, ...]
    shared: tuple[float, ...]
    passes: float
    equal: bool


@dataclass(frozen=True)
class Chosen:
    """The whole choice under one allowance."""

    cell: str
    shared: bool
    evaluations: int
    passes: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class Stack:
    """Seconds of a candidate alone, and how much less it takes of a batch of several."""

    cell: str
    name: str
    examples: int
    alone: float
    gains: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """All that was measured of a cell."""

    rows: list[Row]
    chosen: list[Chosen]
    stacks: list[Stack]


def measured(cell: str, turns: int) -> Found:
    """Trains a short run at a high rank and evaluates what can be cut from it."""
    terms = CELLS[cell].terms(0)
    room = room_of(terms, None)
    adapter = _high(terms, room)
    shown = sample(terms.task, _examples(terms), seed=0)
    few = sample(terms.task, SAMPLED, seed=0)
    truncated = Truncated(adapter, terms.task, terms.settings, 0)
    uniform = room.even(truncated.ranks)
    moves = proposed(around(truncated, shown, uniform), uniform, room)
    works: dict[str, tuple[Sequence[Ranks], Sample]] = {
        "moves": ([move.ranks for move in moves], shown),
        "gate": (random_allocations(room, ALLOCATIONS, 0), few),
        "placements": (list(placements(room, room.families).values()), few),
        "cuts": ([uniform, *({**uniform, name: 0} for name in uniform if uniform[name])], few),
    }
    rows = [_row(cell, n, terms, adapter, work, turns) for n, work in works.items()]
    chosen = [_chosen(cell, terms, room, adapter, shared) for shared in (False, True)]
    stacks = [_stack(cell, terms, room, adapter, n, turns) for n in (SAMPLED // 2, SAMPLED)]
    return Found(rows, chosen, [row for pair in stacks for row in pair])


def _high(terms: Terms, room: Room) -> Adapter:
    settings = terms.settings.model_copy(update={"steps": STEPS, "evaluations": 1})
    work = Work(terms, 0, Shared(), Memory())
    rate = learning_rates(terms.space, 3)[1]
    return rebased(work.fit("high", Allocation(dict(room.most)), rate, settings=settings).adapter)


def _examples(terms: Terms) -> int:
    return sample_size(int(ALLOWANCE * terms.fine_tune))


def _row(  # noqa: PLR0913
    cell: str,
    name: str,
    terms: Terms,
    adapter: Adapter,
    work: tuple[Sequence[Ranks], Sample],
    turns: int,
) -> Row:
    allocations, shown = work
    both = [Truncated(adapter, terms.task, terms.settings, b) for b in (0, KEPT_BYTES)]
    ways: list[Callable[[], list[Losses]]] = [
        lambda: [both[0].losses(ranks, shown) for ranks in allocations],
        lambda: both[1].each(allocations, shown),
    ]
    first, second = (way() for way in ways)  # looks at the model, and warms up
    equal = all(torch.equal(a.losses, b.losses) for a, b in zip(first, second, strict=True))
    before = both[1].example_passes
    seconds = _in_turns(ways, turns)
    passes = (both[1].example_passes - before) / turns / size(shown) / len(allocations)
    without, shared = (tuple(each) for each in seconds)
    return Row(cell, name, size(shown), len(allocations), without, shared, passes, equal)


def _chosen(cell: str, terms: Terms, room: Room, adapter: Adapter, shared: bool) -> Chosen:
    truncated = Truncated(adapter, terms.task, terms.settings, KEPT_BYTES if shared else 0)
    began = time.process_time()
    allowance = int(ALLOWANCE * terms.fine_tune)
    found = choose(truncated, room, Choosing(), allowance=allowance, seed=0)
    seconds = time.process_time() - began
    count = len(truncated.evaluations)
    return Chosen(cell, shared, count, truncated.example_passes, seconds, found.ranked[0].loss)


def _stack(  # noqa: PLR0913
    cell: str, terms: Terms, room: Room, adapter: Adapter, examples: int, turns: int
) -> tuple[Stack, ...]:
    """The base alone; random allocations against all ranks, and against a mixed batch."""
    batch = next(iter(terms.task.batches("valid", batch_size=examples, seed=0)))
    truncated = Truncated(adapter, terms.task, terms.settings, 0)
    drawn = random_allocations(room, ALLOCATIONS, 0)
    repeated = [_repeat(batch, k) for k in STACKED]

    def run(ranks: Ranks, shown: Sample) -> Callable[[], Any]:
        return lambda: truncated.losses(ranks, shown)

    alone = _repeat(batch, 1)
    base = _in_turns([run({}, shown) for shown in (alone, *repeated)], 2 * turns)
    # One allocation after another alone, against all ranks in the stack.
    alones = [run(ranks, alone) for ranks in drawn]
    full = _in_turns(
        [
            lambda: [each() for each in alones],
            *(run(truncated.ranks, shown) for shown in repeated),
        ],
        turns,
    )
    # And against mixed batches, in which every sample names one of the adapters.
    model = _carrying(terms, adapter, drawn[: max(STACKED)])
    mixed_ways = [
        partial(_mixed, terms, model, part, k) for part, k in zip(repeated, STACKED, strict=True)
    ]
    in_mix = _in_turns([lambda: [each() for each in alones], *mixed_ways], turns)
    for each in (full, in_mix):
        each[0] = [seconds / len(drawn) for seconds in each[0]]
    return tuple(
        Stack(cell, name, examples, statistics.median(seconds[0]), _gains(seconds))
        for name, seconds in (("base", base), ("all ranks", full), ("mixed", in_mix))
    )


def _carrying(terms: Terms, adapter: Adapter, drawn: Sequence[Ranks]) -> nn.Module:
    """A model that carries what is cut from an adapter, an allocation under each name."""
    model = terms.task.model()
    for number, ranks in enumerate(drawn):
        alone = replace(cut(adapter, ranks), full={})
        alone.attach_to(model, name=str(number), check=False)
    return model.eval()


def _mixed(terms: Terms, model: nn.Module, shown: Sample, count: int) -> None:
    batch = shown[0].batch
    each = len(batch.examples) // count
    names = [str(i) for i in range(count) for _ in range(each)]
    with torch.inference_mode(), mixed(model, names):
        terms.task.answer(model, batch, final=False)


def _repeat(batch: Batch, times: int) -> Sample:
    """A batch whose examples come several times, as those of several candidates would."""
    many = tree_map_only(Tensor, lambda t: t.repeat(times, *[1] * (t.ndim - 1)), batch)
    return [Part(many, len(many.examples), times)]


def _gains(seconds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(
        statistics.median(k * a / b for a, b in zip(seconds[0], each, strict=True))
        for k, each in zip(STACKED, seconds[1:], strict=True)
    )


def _in_turns(ways: Sequence[Callable[[], Any]], turns: int) -> list[list[float]]:
    """Seconds of each way, turn by turn; who begins changes."""
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(turns):
        for i in [(turn + k) % len(ways) for k in range(len(ways))]:
            began = time.process_time()
            ways[i]()
            taken[i].append(time.process_time() - began)
    return taken
