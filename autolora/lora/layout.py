"""Layouts: how a parameter of any shape is seen as one matrix.

A target is always a matrix of rows × columns, whatever the layer calls input and output. Three
layouts are all that layers need.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

# flat: (rows, …), the rest flattened: linear layers, convolutions, tables.
# transposed: (columns, rows): linear layers that store their matrix the other way round.
# stacked: (copies, rows, columns): one matrix for each expert, below each other.
Layout = Literal["flat", "transposed", "stacked"]


def size(shape: Sequence[int], layout: Layout) -> tuple[int, int]:
    """Rows and columns of the matrix that a parameter of a shape is.

    >>> size((6, 4, 3, 3), "flat"), size((4, 6), "transposed"), size((8, 6, 4), "stacked")
    ((6, 36), (6, 4), (48, 4))
    """
    if layout == "transposed":
        return shape[1], shape[0]
    if layout == "stacked":
        return math.prod(shape[:-1]), shape[-1]
    return shape[0], math.prod(shape[1:])


def matrix(parameter: Tensor, layout: Layout) -> Tensor:
    """A parameter as its matrix: a view where the parameter's memory allows one.

    Shapes: (rows, columns).
    """
    if layout == "transposed":
        return parameter.T
    return parameter.flatten(0, -2) if layout == "stacked" else parameter.flatten(1)


def parameter(matrix: Tensor, shape: Sequence[int], layout: Layout) -> Tensor:
    """A matrix in the shape of its parameter: the way back from `matrix`.

    Shapes: those of the parameter.
    """
    return matrix.T if layout == "transposed" else matrix.view(tuple(shape))


def added(base: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
    """The base + scale · up · down for a flat layout, in one pass where memory allows it.

    The sum lies in memory as the base does: what a convolution computes, and how fast, depends on
    it, down to a kernel of one pixel whose two orders are the same but in name.

    Shapes: base (rows, …); up (rows, rank); down (rank, columns); result as base.
    """
    if base.ndim == 2 or base.stride() == _contiguous(base.shape):
        return torch.addmm(base.flatten(1), up, down, alpha=scale).view(base.shape)
    return base + (up @ (down * scale)).view(base.shape)


def _contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    steps = [1]
    for length in reversed(shape[1:]):
        steps.insert(0, steps[0] * length)
    return tuple(steps)
