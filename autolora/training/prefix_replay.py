"""Kept activations in the place of the modules that would compute them again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_unflatten

from autolora.errors import OtherPath
from autolora.training.batch import Batch
from autolora.training.prefix_cut import Below, Cut
from autolora.training.prefix_kept import Kept, Layout, padded_steps
from autolora.training.prefix_tape import ABOUT, Forward, replaced
from autolora.training.task import Split

Place = tuple[str, int]  # a module and which of the leaves that it gives
Activations = Mapping[Place, Tensor]
Note = Callable[[Place, Tensor], None]


@dataclass(frozen=True)
class Recorded:
    """The activations of a split.

    Attributes:
        cut: What lies below.
        kept: Every activation that is needed above.
        shaped: How those are laid out of which only size and type are asked for.
        training: The mode of the model in which they hold.
        bytes: How much they take.
    """

    cut: Cut
    kept: Mapping[Place, Kept]
    shaped: Mapping[Place, Layout]
    training: bool
    bytes: int

    def read(self, batch: Batch, device: torch.device) -> dict[Place, Tensor]:
        """The activations of a batch, and their shape where that is all that is asked for."""
        examples, steps = batch.examples.cpu(), padded_steps(batch)
        found = {place: kept.read(examples, steps, device) for place, kept in self.kept.items()}
        for place, layout in self.shaped.items():
            one = torch.empty((), dtype=layout.dtype, device=device)
            found[place] = _absent(place[0], one.expand(layout.whole(len(examples), steps)))
        return found


@dataclass(frozen=True)
class Replay:
    """What of a model need not be computed again.

    Attributes:
        model: The model that it was prepared for.
        device: Where the model is.
        splits: What is kept of each split.
    """

    model: nn.Module
    device: torch.device
    splits: Mapping[Split, Recorded]

    def on(self, model: nn.Module, batch: Any, split: Split) -> AbstractContextManager[None]:
        """Within this context one call of the model on this batch runs its upper part alone.

        Where nothing is kept for the split or the model's mode, all of it runs. Text is not
        generated in it: that calls the model again and again on something else.

        Raises:
            OtherPath: from the model, if it takes another way through its lower part than when
                that was recorded.
        """
        recorded = self.splits.get(split)
        if model is not self.model or recorded is None or model.training != recorded.training:
            return nullcontext()
        return serving(model, recorded.cut, recorded.read(batch, self.device))


@contextmanager
def serving(model: nn.Module, cut: Cut, activations: Activations) -> Iterator[None]:
    """Within this context the modules below a cut give what is kept, once each."""
    with replaced(model, {below.module: _given(below, activations) for below in cut}):
        yield


@contextmanager
def watching(model: nn.Module, cut: Cut, note: Note) -> Iterator[None]:
    """Within this context every activation that is used above a cut is noted as it is made."""
    forwards = {
        below.module: partial(_noted, below, model.get_submodule(below.module).forward, note)
        for below in cut
        if below.needed or below.shaped
    }
    with replaced(model, forwards):
        yield


def _noted(
    below: Below,
    forward: Forward,
    note: Note,
    /,
    *args: Any,
    **more: Any,
) -> Any:
    output = forward(*args, **more)
    leaves = tree_leaves(output)
    for leaf in (*below.needed, *below.shaped):
        note((below.module, leaf), leaves[leaf])
    return output


def _given(below: Below, activations: Activations) -> Forward:
    """A forward that gives what is kept, and what nobody may use where nothing is."""
    leaves: list[Tensor | None] = [
        _absent(below.module) if present else None for present in below.present
    ]
    for leaf in (*below.needed, *below.shaped):
        leaves[leaf] = activations[below.module, leaf]
    outputs = [tree_unflatten(leaves, below.structure)]

    def forward(*_: Any, **__: Any) -> Any:
        if not outputs:
            raise OtherPath(below.module)
        return outputs.pop()

    return forward


class _Absent(Tensor):
    """Stands for an activation that is not kept: nothing above the cut used its values."""

    module: str
    shaped: bool

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        absent = next(x for x in tree_leaves((args, kwargs)) if isinstance(x, cls))
        if absent.shaped and function in ABOUT:
            with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - as torch documents it
                return function(*args, **(kwargs or {}))
        raise OtherPath(absent.module)


def _absent(module: str, shape: Tensor | None = None) -> Tensor:
    absent: _Absent = (torch.empty(0) if shape is None else shape).as_subclass(_Absent)
    absent.module, absent.shaped = module, shape is not None
    return absent
