"""A call of a module that was made before: what it was given, and what it gave."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from autolora.lora.delta import version

_PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device)


@dataclass(frozen=True, eq=False)
class Flat:
    """Tensors and plain values, and the form that they had."""

    leaves: tuple[Any, ...]
    form: TreeSpec

    @classmethod
    def of(cls, tree: Any) -> "Flat":
        """Whatever a module was given, or gave."""
        leaves, form = tree_flatten(tree)
        return cls(tuple(leaves), form)

    def tree(self) -> Any:
        """In its form again; lists and dictionaries are new ones."""
        return tree_unflatten(self.leaves, self.form)

    @property
    def tensors(self) -> list[Tensor]:
        """The leaves that are tensors."""
        return [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]

    @property
    def versions(self) -> list[int]:
        """How often each tensor was changed in place."""
        return [version(tensor) for tensor in self.tensors]

    def keepable(self) -> bool:
        """Whether it holds nothing whose change or difference could go unseen."""
        if any(tensor.is_inference() for tensor in self.tensors):
            return False  # torch does not count their changes
        return all(type(leaf) in (Tensor, nn.Parameter, *_PLAIN) for leaf in self.leaves)

    def equals(self, other: "Flat") -> bool:
        """Whether form and every value are equal; a tensor with NaN equals only itself."""
        return self.form == other.form and all(map(_equal, self.leaves, other.leaves))


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a module.

    Attributes:
        given: What it was given.
        gave: What it gave.
        ranks: Those of the targets within it.
        versions: How often each tensor of both had been changed in place when it ended.
    """

    given: Flat
    gave: Flat
    ranks: tuple[int, ...]
    versions: tuple[int, ...]

    @classmethod
    def ended(cls, given: Flat, gave: Flat, ranks: tuple[int, ...]) -> "Call":
        """A call that has just ended."""
        return cls(given, gave, ranks, (*given.versions, *gave.versions))

    def answers(self, given: Flat, ranks: tuple[int, ...]) -> bool:
        """Whether another call would give the same, and nobody has changed that in place since."""
        fresh = self.versions == (*self.given.versions, *self.gave.versions)
        return fresh and self.ranks == ranks and self.given.equals(given)

    @property
    def bytes(self) -> int:
        """Of the distinct storages that it keeps alive."""
        stored = (t.untyped_storage() for t in (*self.given.tensors, *self.gave.tensors))
        return sum(size for _, size in {(s.data_ptr(), s.nbytes()) for s in stored})


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other) and bool(one == other)
    same = one.dtype == other.dtype and one.shape == other.shape
    # Kernels may sum in another order where numbers lie otherwise in memory.
    return same and one.stride() == other.stride() and torch.equal(one, other)
