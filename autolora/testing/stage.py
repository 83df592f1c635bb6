"""What the laws run: an example in a mode, the same at every making, and what it answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from autolora.lora import layout
from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached, attach
from autolora.lora.example import Example
from autolora.lora.targets import targets
from autolora.lora.weight import PRODUCTS, AdaptedWeight

Mode = Literal["train", "eval", "no_grad"]
MODES: tuple[Mode, ...] = ("train", "eval", "no_grad")

Form = Literal["apart", "sum"]
FORMS: tuple[Form, ...] = ("apart", "sum")

SCALE = 0.7  # of every adapter that the laws attach: a forgotten scale shows


@dataclass(frozen=True)
class Stage:
    """A model in a mode and the inputs of one call."""

    model: nn.Module
    inputs: tuple[Any, ...]
    mode: Mode

    def answer(self) -> list[Tensor]:
        """Every tensor of the model's output, in the mode's way with gradients."""
        with torch.set_grad_enabled(self.mode != "no_grad"):
            return tensors(self.model(*self.inputs))

    def of(self, model: nn.Module) -> "Stage":
        """The same inputs and mode for another model."""
        return replace(self, model=model)


def stage(example: Example, mode: Mode, dtype: torch.dtype = torch.float64) -> Stage:
    """An example made anew: the same weights and inputs at every call."""
    torch.manual_seed(0)
    model = example.model().to(dtype).train(mode == "train")
    inputs = tree_map(lambda value: _to(value, dtype), example.inputs())
    return Stage(model, inputs, mode)


def adapted(example: Example, mode: Mode, dtype: torch.dtype = torch.float64) -> Stage:
    """An example with random factors at every target."""
    made = stage(example, mode, dtype)
    randomise(attach_everywhere(made.model))
    return made


def attach_everywhere(model: nn.Module, name: str = "default", rank: int = 2) -> Attached:
    """An adapter at every target of a model, of rank 2 where the matrix allows it."""
    return attach(model, Allocation.uniform(targets(model), rank), scale=SCALE, name=name)


@torch.no_grad()
def randomise(adapter: Attached, seed: int = 1) -> Attached:
    """Fills the factors with numbers that depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    for name, part in adapter.factors.items():
        for factor in (part.up, part.down):
            factor.copy_(torch.randn(factor.shape, generator=generator, dtype=torch.float64))
        layer = adapter.model.get_submodule(adapter.targets[name].layer)
        if (padding := getattr(layer, "padding_idx", None)) is not None:
            part.up[padding] = 0  # where training, which never reaches it, leaves it
    return adapter


@torch.no_grad()
def add_dense(model: nn.Module, adapter: Attached) -> nn.Module:
    """Adds the deltas of an adapter in place to the plain weights of another model."""
    for name, target in adapter.targets.items():
        part = adapter.factors[name]
        parameter = model.get_submodule(target.layer).get_parameter(target.parameter)
        # A copy: where channels lie last, the matrix is no view of the parameter.
        whole = layout.matrix(parameter, target.layout).clone()
        rows = whole[target.first_row : target.first_row + target.rows]
        rows += part.scale * (part.up @ part.down)
        parameter.copy_(layout.parameter(whole, parameter.shape, target.layout))
    return model


def tensors(output: Any) -> list[Tensor]:
    """The tensors of any output, in order."""
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def same(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    """Asserts equality bit for bit."""
    close(found, wanted, 0)


def close(found: Sequence[Tensor], wanted: Sequence[Tensor], tolerance: float = 1e-9) -> None:
    """Asserts equality up to a tolerance, absolute and relative."""
    torch.testing.assert_close(list(found), list(wanted), atol=tolerance, rtol=tolerance)


def differ(found: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether any tensor is another."""
    return any(not torch.equal(a, b) for a, b in zip(found, other, strict=True))


@contextmanager
def form(which: Form) -> Iterator[None]:
    """Within this context every product is made apart, or none, whatever is cheaper."""
    products, cheaper = dict(PRODUCTS), AdaptedWeight.apart
    if which == "sum":
        PRODUCTS.clear()
    AdaptedWeight.apart = lambda *_: True  # type: ignore[method-assign]
    try:
        yield
    finally:
        PRODUCTS.update(products)
        AdaptedWeight.apart = cheaper  # type: ignore[method-assign]


@contextmanager
def fast_path(enabled: bool) -> Iterator[None]:
    """Within this context torch's fused attention in evaluation is on or off."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(enabled)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _to(value: Any, dtype: torch.dtype) -> Any:
    moved = isinstance(value, Tensor) and value.is_floating_point()
    return value.to(dtype) if moved else value
