"""Views: how a layer type names the blocks of its parameters.

One file for each family of layers, with `LAYERS` (the classes, or the full names of classes of
libraries that need not be there), `blocks(layer, parameter)` and `EXAMPLES`. A view may also tell
layers by what they hold, with `by_shape(layer, parameter)`, and name in `SETTINGS` an attribute of
an enclosing module that must have another value while a layer inside it is adapted.
"""

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from torch import nn

from autolora.lora.example import Example
from autolora.lora.layout import Layout, size


@dataclass(frozen=True)
class Block:
    """A range of a parameter's rows that carries a delta of its own; no name: all of them."""

    name: str | None
    kind: str
    first_row: int
    rows: int
    layout: Layout = "flat"


@dataclass(frozen=True)
class Setting:
    """An attribute of modules of a class, and its value while something inside is adapted.

    With `everywhere`, while anything of the model is.
    """

    layers: type[nn.Module] | str
    attribute: str
    value: Any
    everywhere: bool = False

    def concerns(self, module: nn.Module) -> bool:
        """Whether a module is of its class."""
        return any(self.layers in (cls, _name(cls)) for cls in type(module).__mro__)


class View(Protocol):
    """What a file of this folder offers."""

    LAYERS: tuple[type[nn.Module] | str, ...]
    EXAMPLES: tuple[Example, ...]

    def blocks(self, layer: nn.Module, parameter: str) -> tuple[Block, ...]:
        """The blocks of a parameter; none for one that torch's own class does not have."""


@cache
def all_views() -> tuple[View, ...]:
    """Every view of the folder."""
    return tuple(import_module(f"{__name__}.{f.name}") for f in pkgutil.iter_modules(__path__))


@cache
def _by_class() -> dict[type[nn.Module] | str, View]:
    return {layer: view for view in all_views() for layer in view.LAYERS}


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """How the view of the nearest class splits a parameter; another tensor is one block."""
    if (view := _view(layer)) and (found := view.blocks(layer, parameter)):
        return found
    value = layer._parameters[parameter]
    if value is None or value.ndim < 2:
        return ()
    shaped = (view.by_shape(layer, parameter) for view in all_views() if hasattr(view, "by_shape"))
    return next((found for found in shaped if found), None) or _bare(value)


def _view(layer: nn.Module) -> View | None:
    known = _by_class()
    for cls in type(layer).__mro__:
        if (view := known.get(cls) or known.get(_name(cls))) is not None:
            return view
    return None


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _bare(value: nn.Parameter) -> tuple[Block, ...]:
    """A parameter of which nothing is known, in the layout with the higher possible rank."""
    if value.ndim == 2:
        return (Block(None, "matrix", 0, len(value)),)
    sizes: dict[Layout, tuple[int, int]] = {
        layout: size(value.shape, layout) for layout in ("flat", "stacked")
    }
    best = max(sizes, key=lambda layout: min(sizes[layout]))
    if min(sizes[best]) == 1:  # a vector, however many dimensions it has
        return ()
    return (Block(None, "tensor", 0, sizes[best][0], best),)


def settings() -> tuple[Setting, ...]:
    """What must change around adapted layers, from every view that says so."""
    return tuple(s for view in all_views() for s in getattr(view, "SETTINGS", ()))
