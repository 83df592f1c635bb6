"""Views: how a layer type names the blocks of its parameters.

One file for each family of layers, with `LAYERS` (the classes), `blocks(layer, parameter)` and
`EXAMPLES`. A view may also name in `SETTINGS` an attribute of an enclosing module that must have
another value while a layer inside it is adapted.
"""

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from torch import nn

from autolora.lora.example import Example


@dataclass(frozen=True)
class Block:
    """A range of a parameter's rows that carries a delta of its own; no name: all of them."""

    name: str | None
    kind: str
    first_row: int
    rows: int


@dataclass(frozen=True)
class Setting:
    """An attribute of modules of a class, and its value while something inside is adapted."""

    layers: type[nn.Module]
    attribute: str
    value: Any


class View(Protocol):
    """What a file of this folder offers."""

    LAYERS: tuple[type[nn.Module], ...]
    EXAMPLES: tuple[Example, ...]

    def blocks(self, layer: nn.Module, parameter: str) -> tuple[Block, ...]:
        """The blocks of a parameter; none for one that torch's own class does not have."""


@cache
def all_views() -> tuple[View, ...]:
    """Every view of the folder."""
    return tuple(import_module(f"{__name__}.{f.name}") for f in pkgutil.iter_modules(__path__))


@cache
def _by_class() -> dict[type[nn.Module], View]:
    return {layer: view for view in all_views() for layer in view.LAYERS}


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """How the view of the nearest class splits a parameter; another matrix is one block."""
    view = next((v for cls in type(layer).__mro__ if (v := _by_class().get(cls))), None)
    if view and (found := view.blocks(layer, parameter)):
        return found
    value = layer._parameters[parameter]
    return (Block(None, "matrix", 0, len(value)),) if value is not None and value.ndim == 2 else ()


def settings() -> tuple[Setting, ...]:
    """What must change around adapted layers, from every view that says so."""
    return tuple(s for view in all_views() for s in getattr(view, "SETTINGS", ()))
