"""Showing a model other factors than those that its adapter holds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from autolora.lora.attach import Attached
from autolora.lora.low_rank import LowRank

Shown = tuple[Tensor, Tensor] | None


def show(part: LowRank, factors: Shown) -> None:
    """Lets a delta be the product of these tensors, or nothing at all, until `unshow`.

    The parameters stay where they are: a module finds its own attributes before them.
    """
    part.share = 0.0 if factors is None else 1.0
    if factors is None:
        _forget(part)
    else:
        part.__dict__["up"], part.__dict__["down"] = factors


def unshow(part: LowRank) -> None:
    """Lets a delta be the product of its parameters again."""
    part.share = 1.0
    _forget(part)


@contextmanager
def shown(attached: Attached, factors: Mapping[str, Shown]) -> Iterator[None]:
    """Within this context the deltas of some targets are products of other tensors."""
    try:
        for name, pair in factors.items():
            show(attached.factors[name], pair)
        yield
    finally:
        for name in factors:
            unshow(attached.factors[name])


def _forget(part: LowRank) -> None:
    part.__dict__.pop("up", None)
    part.__dict__.pop("down", None)
