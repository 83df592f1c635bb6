"""Mixed batches that have ended, for what a backward pass computes anew after them.

Under gradient checkpointing a part of the forward pass is run again inside the backward pass of an
autograd node. Torch numbers these nodes as it makes them, so the number of the node that runs now
tells in which context it was made, and the route of that context is taken again.
"""

from collections import deque
from typing import Any

import torch
from torch.autograd.graph import Node

from autolora.errors import ForgottenBatch

_MOST = 16


class Ended:
    """The routes of one delta in the last mixed batches, each with the nodes made meanwhile."""

    def __init__(self) -> None:
        self._routes: deque[tuple[int, int, Any]] = deque(maxlen=_MOST)
        self._forgotten = -1

    def __reduce__(self) -> tuple[type["Ended"], tuple[()]]:
        """No node of a copy was made yet."""
        return Ended, ()

    def add(self, first: int, last: int, route: Any) -> None:
        """Takes note of a route; the nodes from `first` to before `last` are its own."""
        if len(self._routes) == _MOST:
            self._forgotten = max(self._forgotten, self._routes[0][1])
        self._routes.append((first, last, route))

    def route(self) -> Any:
        """The route that what is computed now had when it was computed first, if it had one.

        Raises:
            ForgottenBatch: if that was too many batches ago to tell.
        """
        node: Node | None = torch._C._current_autograd_node()
        if node is None:
            return None
        number = node._sequence_nr()
        for first, last, route in self._routes:
            if first <= number < last:
                self._include_inner(route)
                return route
        if number < self._forgotten:
            raise ForgottenBatch(_MOST)
        return None

    def _include_inner(self, route: Any) -> None:
        """A checkpoint within a checkpoint is computed without gradients; its node is the last."""
        if not torch.is_grad_enabled():
            last = next_node()
            if self._routes[-1][:2] != (last - 1, last):
                self.add(last - 1, last, route)


def next_node() -> int:
    """The number that the next node of this thread will have; -1 where a compiler looks on."""
    if torch.compiler.is_compiling():
        return -1
    number: int = torch.autograd._get_sequence_nr()  # type: ignore[attr-defined]
    return number
