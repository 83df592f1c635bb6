"""What evaluations of several allocations share: what comes before their first difference.

Allocations go through a batch in an order in which neighbours begin alike. What a module gave is
given again to the next where the targets within it have the ranks, and it is given the values, that
it had before; otherwise the module runs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from autolora.lora.attach import Attached
from autolora.nested.calls import Call, Flat
from autolora.nested.learnt import Learnt, Ranks, few, learn
from autolora.training.batch import Batch
from autolora.training.prefix_run import in_mode
from autolora.training.prefix_tape import Forward, replaced

KEPT_BYTES = 256_000_000
LOOKED = 2  # examples that tell whether a model may share anything
LOOKS = 7  # how often they go through it at most: once to look, three allocations in both ways

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Step:
    """One allocation in its turn.

    Attributes:
        index: Which of them.
        known: Modules that an earlier turn has kept and that need not run.
        needed: Those that a later turn needs.
    """

    index: int
    known: frozenset[str] = _NOTHING
    needed: frozenset[str] = _NOTHING

    @property
    def shares(self) -> bool:
        """Whether anything is shared with another turn."""
        return bool(self.known or self.needed)


def steps(learnt: Learnt, allocations: Sequence[Ranks]) -> list[Step]:
    """The turns of some allocations: two that begin alike are as near as can be."""
    keys = [[ranks.get(name, 0) for name in learnt.order] for ranks in allocations]
    order = sorted(range(len(allocations)), key=lambda i: keys[i])
    # What two turns have in common is what all neighbours between them have in common.
    alike = [learnt.alike(allocations[i], allocations[j]) for i, j in pairwise(order)]
    return [
        Step(
            index,
            learnt.before(alike[turn - 1]) if turn else _NOTHING,
            _NOTHING.union(*(learnt.before(n) for n in {*accumulate(alike[turn:], min)})),
        )
        for turn, index in enumerate(order)
    ]


class Sharing:
    """Runs a model under one allocation after another and gives again what they have in common.

    Attributes:
        served: The share of the multiplications of the latest pass that was not computed.
    """

    def __init__(self, attached: Attached, learnt: Learnt, budget_bytes: int) -> None:
        self.served, self.learnt = 0.0, learnt
        self._model, self._budget_bytes = attached.model, budget_bytes
        self._kept: dict[str, Call] = {}
        self._forwards: dict[str, Forward] = {
            name: attached.model.get_submodule(name).forward for name in learnt.ends
        }

    @contextmanager
    def turn(self, ranks: Ranks, step: Step) -> Iterator[None]:
        """Within this context one pass of a batch is computed as far as it is not known.

        Args:
            ranks: What the model is shown.
            step: What is known, and what has to be kept.
        """
        self.served = 0.0
        kept = step.known | step.needed
        # Only in the first turn nothing is known: what an earlier batch has left goes.
        self._kept = {n: call for n, call in self._kept.items() if step.known and n in kept}
        with replaced(self._model, {n: self._forward(n, ranks, step) for n in kept}):
            yield
        self._kept = {name: call for name, call in self._kept.items() if name in step.needed}

    def _forward(self, name: str, ranks: Ranks, step: Step) -> Forward:
        within = tuple(ranks.get(target, 0) for target in self.learnt.inside[name])
        return partial(self._call, name, within, name in step.needed)

    def _call(
        self, name: str, ranks: tuple[int, ...], keep: bool, /, *args: Any, **more: Any
    ) -> Any:
        given, known = Flat.of((args, more)), self._kept.get(name)
        if known is not None and known.answers(given, ranks):
            self.served += self.learnt.shares.get(name, 0.0)
            return known.gave.tree()
        before = given.versions
        output = self._forwards[name](*args, **more)
        gave = Flat.of(output)
        if keep and given.keepable() and gave.keepable() and given.versions == before:
            self._keep(name, Call.ended(given, gave, ranks))
        return output

    def _keep(self, name: str, call: Call) -> None:
        self._kept.pop(name, None)
        if sum(other.bytes for other in self._kept.values()) + call.bytes <= self._budget_bytes:
            self._kept[name] = call


@contextmanager
def computing(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, where torch counts changes in place."""
    with torch.inference_mode(mode=False), in_mode(model, training=False), torch.no_grad():
        yield


Losses = Callable[[Ranks, Batch], Tensor]  # shows an allocation and gives the loss of each example


def sharing(
    attached: Attached, losses: Losses, batch: Any, budget_bytes: int
) -> tuple[Sharing | None, int]:
    """Looks whether allocations of an adapter may share anything, and tells what that cost.

    Three allocations of two examples are computed with sharing and without: all ranks, all but the
    last target's, all but the middle one's. Only if both are equal to the bit may they.

    Args:
        attached: The adapter on its model.
        losses: Evaluates an allocation.
        batch: What examples are taken from; nothing is shared where it is no `Batch`.
        budget_bytes: For what is kept.
    """
    if not isinstance(batch, Batch) or not budget_bytes or not attached.factors:
        return None, 0
    some: Batch = few(batch, LOOKED)
    count = len(some.examples)
    full = {name: part.rank for name, part in attached.factors.items()}
    with computing(attached.model):
        found = Sharing(
            attached, learn(attached, partial(losses, {}, some), some.examples), budget_bytes
        )
        order = found.learnt.order
        ways = [full, *({**full, order[i]: 0} for i in {len(order) // 2, len(order) - 1})]
        plain = [losses(ranks, some) for ranks in ways]
        shared: dict[int, Tensor] = {}
        passes = count * (1.0 + len(ways))
        for step in steps(found.learnt, ways):
            with found.turn(ways[step.index], step):
                shared[step.index] = losses(ways[step.index], some)
            passes += count * (1 - found.served)
    agree = all(same(shared[i], expected) for i, expected in enumerate(plain))
    return (found if agree else None), whole(passes)


def whole(passes: float) -> int:
    """A number of passes, rounded up but for what adding shares up may leave."""
    return math.ceil(passes - 1e-6)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether losses are equal to the bit, NaN where the others are."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
