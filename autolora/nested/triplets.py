"""AdaLoRA's factors P · diag(λ) · Q: the least important triplets are pruned as they train."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from autolora.lora.attach import Attached
from autolora.nested.importance import TripletScores
from autolora.nested.pruning import Cubic, Keeping, Live
from autolora.nested.seen import Shown, shown

_SPREAD = 0.02  # of normal starts, as in the authors' code


@dataclass(frozen=True)
class Pruning:
    """How triplets are pruned.

    Attributes:
        cubic: The budget over the steps.
        keeping: What decides which live.
        interval: Steps from one pruning to the next.
        penalty: The weight of the orthogonality penalty.
        start: How P and Q start; λ starts at zero.
    """

    cubic: Cubic
    keeping: Keeping
    interval: int
    penalty: float
    start: Literal["orthogonal", "normal"]


class Triplets:
    """Trains P, λ and Q; the λ of a pruned triplet is set to zero, from where it may come back.

    An evaluation shows the model what would be handed over now: the triplets that fill the budget
    of parameters. So the best evaluation of a run is one of an adapter within its budget.

    Source: Zhang et al. 2023 (AdaLoRA), algorithm 1.
    """

    def __init__(self, attached: Attached, pruning: Pruning) -> None:
        self.attached, self._pruning = attached, pruning
        self._left = {n: p.up for n, p in attached.factors.items()}
        self._right = {n: p.down for n, p in attached.factors.items()}
        self.values = {
            n: nn.Parameter(torch.zeros(p.rank, dtype=p.up.dtype, device=p.up.device))
            for n, p in attached.factors.items()
        }
        self._scores = {name: TripletScores() for name in self.values}
        self._settled: Live | None = None  # the triplets that live once the budget is reached
        self._shown: list[tuple[list[Tensor], Live]] = []
        self._begin()

    def parameters(self) -> Iterator[nn.Parameter]:
        """P, Q and λ of every target, then the head."""
        for name, values in self.values.items():
            yield from (self._left[name], self._right[name], values)
        yield from self.attached.also.values()

    def training(self, step: int) -> AbstractContextManager[Any]:
        """The product of all three."""
        del step
        return shown(self.attached, self._products(self.values))

    def evaluating(self) -> AbstractContextManager[Any]:
        """What would be handed over now."""
        live = self.live()
        # The best evaluation is put back by its tensors alone; λ tells which one it was.
        self._shown.append(([v.detach().clone() for v in self.values.values()], live))
        return shown(self.attached, self._products(self._masked(live)))

    def penalty(self) -> Tensor | None:
        """Its weight times the mean of ‖PᵀP - I‖ and ‖QQᵀ - I‖ over all factors.

        Source: Zhang et al. 2023 (AdaLoRA), equation 4. The paper adds up squares; this is the
        form of the authors' code, whose weight does not depend on how many factors there are.
        """
        if not self._pruning.penalty or not self.values:
            return None
        some = next(iter(self.values.values()))
        with torch.autocast(some.device.type, enabled=False):
            apart = [_apart(m) for m in self._left.values()]
            apart += [_apart(m.T) for m in self._right.values()]
        return self._pruning.penalty * torch.stack(apart).mean()

    @torch.no_grad()
    def updated(self, step: int) -> None:
        """Follows the importance and prunes when it is time; steps count from 0."""
        cubic, done = self._pruning.cubic, step + 1
        if self._settled is None:
            for name, values in self.values.items():
                self._scores[name].update(self._left[name], values, self._right[name])
        if done >= cubic.settled:
            self._settled = self.live()
            self._prune(self._settled)
        elif done > cubic.warm and done % self._pruning.interval == 0:
            self._prune(self._pruning.keeping.within(self.scores(), cubic.at(done)))

    @torch.no_grad()
    def finish(self) -> None:
        """λ becomes part of P; what is not handed over has zeros there."""
        live = self._live_at_best()
        for name, values in self._masked(live).items():
            self._left[name].mul_(values)

    def scores(self) -> Mapping[str, Tensor]:
        """The importance of every triplet."""
        return {
            name: found if len(found := scores.scores().cpu()) else torch.zeros(len(values))
            for (name, scores), values in zip(
                self._scores.items(), self.values.values(), strict=True
            )
        }

    def live(self) -> Live:
        """The triplets that would be handed over now."""
        if self._settled is not None:
            return self._settled
        return self._pruning.keeping.finally_(self.scores())

    def _live_at_best(self) -> Live:
        now = list(self.values.values())
        for values, live in reversed(self._shown):
            if all(torch.equal(a, b) for a, b in zip(values, now, strict=True)):
                return live
        return self.live()

    def _prune(self, live: Live) -> None:
        for name, values in self.values.items():
            values[~live[name].to(values.device)] = 0.0

    def _masked(self, live: Live) -> dict[str, Tensor]:
        return {name: v * live[name].to(v) for name, v in self.values.items()}

    def _products(self, values: Mapping[str, Tensor]) -> dict[str, Shown]:
        return {n: (self._left[n] * v, self._right[n]) for n, v in values.items()}

    @torch.no_grad()
    def _begin(self) -> None:
        for left, right in zip(self._left.values(), self._right.values(), strict=True):
            for factor in (left, right):
                if self._pruning.start == "orthogonal":
                    nn.init.orthogonal_(factor)
                else:
                    nn.init.normal_(factor, std=_SPREAD)


def _apart(columns: Tensor) -> Tensor:
    """How far columns are from being orthonormal.

    Shapes: (length, columns) to ().
    """
    gram = columns.T @ columns
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    # Its slope at zero is 0, where that of a root would be no number.
    distance: Tensor = torch.linalg.vector_norm(gram - identity)
    return distance
