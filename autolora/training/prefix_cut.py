"""Where a model is cut: the largest modules below all that is trained, and what is used of them."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils._pytree import TreeSpec

from autolora.lora.shadow import seen
from autolora.training.prefix_tape import Call, Tape


@dataclass(frozen=True)
class Below:
    """A module below the cut.

    Attributes:
        module: Its name.
        structure: The form of what it gives.
        present: Which leaves of it are tensors; the others are None.
        needed: Which are used above the cut; the examples lie along their first dimension.
        shaped: Of which only size and type are asked for.
    """

    module: str
    structure: TreeSpec
    present: tuple[bool, ...]
    needed: tuple[int, ...]
    shaped: tuple[int, ...]


Cut = tuple[Below, ...]


def trained_modules(model: nn.Module, named: Collection[str]) -> set[str]:
    """The named modules, and all whose parameters learn or are adapted."""
    own = {
        name
        for name, module in model.named_modules()
        if any(p.requires_grad for p in module.parameters(recurse=False)) or seen(module)
    }
    return own | set(named)


def cut(model: nn.Module, trained: Collection[str], tapes: tuple[Tape, Tape]) -> Cut:
    """The modules that need not run again, from tapes of two batches of different sizes.

    A module whose output is used but not laid out by examples is opened: its parts are tried.
    """
    allowed = set.intersection(*(_alike(tape) for tape in tapes)) - _around(model, trained)
    while allowed:
        chosen = [_outermost(tape, allowed) for tape in tapes]
        used = [_used(tape, calls) for tape, calls in zip(tapes, chosen, strict=True)]
        unfit = _unlike(*chosen)
        for tape, calls, leaves in zip(tapes, chosen, used, strict=True):
            unfit |= {
                call.module
                for call in calls
                for leaf in leaves[call.module]
                if not _by_example(call.leaves[leaf], tape.examples)
            }
        if not unfit:
            below = tuple(
                _below(call, *(leaves[call.module] for leaves in used)) for call in chosen[0]
            )
            return below if any(module.needed for module in below) else ()
        allowed -= unfit
    return ()


def _alike(tape: Tape) -> set[str]:
    """Modules that were called once, early and purely, and gave tensors or nothing."""
    times = Counter(call.module for call in tape.calls)
    return {
        call.module
        for call in tape.calls
        if times[call.module] == 1
        and call.early
        and call.pure
        and all(leaf is None or isinstance(leaf, Tensor) for leaf in call.leaves)
    }


def _around(model: nn.Module, trained: Iterable[str]) -> set[str]:
    """Modules that hold anything trained, whether this pass used it or not."""
    inside = {id(model.get_submodule(name)) for name in trained}
    return {
        name
        for name, module in model.named_modules()
        if any(id(inner) in inside for inner in module.modules())
    }


def _outermost(tape: Tape, allowed: set[str]) -> list[Call]:
    """The calls of allowed modules that no call of another allowed one was around."""
    return [
        call
        for call in tape.calls
        if call.module in allowed and not (call.inside - {call.module}) & allowed
    ]


def _used(tape: Tape, calls: Sequence[Call]) -> dict[str, dict[int, bool]]:
    """Which leaves of the chosen calls anything outside them asks about; whether for values."""
    chosen = {call.module for call in calls}
    outside = [use for use in tape.uses if not use.inside & chosen]
    shaped = {i for use in outside for i in use.tensors}
    values = {i for use in outside if use.values for i in use.tensors}
    values |= {id(leaf) for call in tape.calls if call.module == "" for leaf in call.leaves}
    return {
        call.module: {
            i: id(leaf) in values
            for i, leaf in enumerate(call.leaves)
            if id(leaf) in shaped or id(leaf) in values
        }
        for call in calls
    }


def _by_example(leaf: object, examples: int) -> bool:
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == examples


def _unlike(one: Sequence[Call], other: Sequence[Call]) -> set[str]:
    """Modules that only one of two passes came by, or that gave another form in the other."""
    forms = [
        {(call.module, call.structure, _present(call)) for call in calls} for calls in (one, other)
    ]
    return {module for module, *_ in forms[0] ^ forms[1]}


def _below(call: Call, one: dict[int, bool], other: dict[int, bool]) -> Below:
    assert call.structure is not None
    needed = {leaf for used in (one, other) for leaf, values in used.items() if values}
    shaped = (one.keys() | other.keys()) - needed
    return Below(
        call.module, call.structure, _present(call), tuple(sorted(needed)), tuple(sorted(shaped))
    )


def _present(call: Call) -> tuple[bool, ...]:
    return tuple(leaf is not None for leaf in call.leaves)
