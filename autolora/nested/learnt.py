"""What one small pass through a model tells: which modules come before a target, and their cost."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from autolora.lora.attach import Attached
from autolora.lora.shadow import seen
from autolora.training.prefix_tape import Tape, record

Ranks = Mapping[str, int]
Inside = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Learnt:
    """The order of a pass.

    Attributes:
        order: All targets as a pass comes by them.
        places: When it does, for each of them.
        ends: Modules that may be spared, and when the last call of each has ended.
        around: The other such modules that each lies in.
        inside: The targets whose deltas each module uses.
        shares: Which part of the base's multiplications in a pass a call of each takes; 0 where
            that is not known.
    """

    order: tuple[str, ...]
    places: Mapping[str, int]
    ends: Mapping[str, int]
    around: Mapping[str, frozenset[str]]
    inside: Inside
    shares: Mapping[str, float]
    _before: dict[int, frozenset[str]] = field(default_factory=dict)

    def before(self, count: int) -> frozenset[str]:
        """The largest modules that a pass has behind it when so many targets are.

        With all of them, the model itself.
        """
        if count not in self._before:
            behind = len(self.order) == count
            now = float("inf") if behind else self.places[self.order[count]]
            ended = {name for name, end in self.ends.items() if end < now}
            found = frozenset(name for name in ended if not self.around[name] & ended)
            self._before[count] = found
        return self._before[count]

    def alike(self, one: Ranks, other: Ranks) -> int:
        """How many targets from the first on have equal ranks."""
        pairs = ((one.get(name, 0), other.get(name, 0)) for name in self.order)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), len(self.order))


def learn(attached: Attached, run: Callable[[], Any], examples: Tensor) -> Learnt:
    """Looks at one pass of some examples, under `no_grad` and in evaluation mode.

    Args:
        attached: The adapter; none of it is shown, so that only products of the base count.
        run: Calls the model on them.
        examples: Where they stand in their split.
    """
    model = attached.model
    with FlopCounterMode(display=False) as counter:
        tape = record(model, (), run, examples)
    inside, fit = _inside(attached), _fit(model, tape)
    places = _places(attached, tape, inside)
    counts = {name: sum(each.values()) for name, each in counter.get_flop_counts().items()}
    return Learnt(
        tuple(sorted(places, key=lambda name: places[name])),
        places,
        {call.module: i for i, call in enumerate(tape.calls) if call.module in fit},
        {name: _around(tape, name, fit) for name in fit},
        inside,
        _shares(attached, tape, counts),
    )


def few(batch: Any, count: int) -> Any:
    """The first examples of a batch."""
    return tree_map_only(Tensor, lambda tensor: tensor[:count], batch)


def _inside(attached: Attached) -> dict[str, tuple[str, ...]]:
    """The targets whose deltas the layers within each module find, wherever they were attached."""
    names = {id(part): name for name, part in attached.factors.items()}
    own = {
        layer: {
            names[id(part)]
            for weight in seen(layer).values()
            for part in weight.delta.parts().values()
            if id(part) in names
        }
        for layer in attached.model.modules()
    }
    return {
        path: tuple(sorted({name for inner in module.modules() for name in own[inner]}))
        for path, module in attached.model.named_modules()
    }


def _fit(model: nn.Module, tape: Tape) -> frozenset[str]:
    """Modules that hold a matrix, so that sparing them pays, and change nothing they are given."""
    changing = {call.module for call in tape.calls if not call.pure}
    holding = {p for p, m in model.named_modules() if any(w.ndim > 1 for w in m.parameters())}
    return frozenset((holding & {call.module for call in tape.calls}) - changing)


def _around(tape: Tape, name: str, fit: frozenset[str]) -> frozenset[str]:
    """Those that every call of a module lies in."""
    inside = [call.inside for call in tape.calls if call.module == name]
    return (frozenset.intersection(*inside) & fit) - {name}


def _places(attached: Attached, tape: Tape, inside: Inside) -> dict[str, int]:
    """When the first call ended of the smallest module around each target.

    One that no pass comes by has its place before all others: nothing comes before it.
    """
    found = dict.fromkeys(attached.factors, (len(attached.factors) + 1, -1))
    for number, call in enumerate(tape.calls):
        for name in inside[call.module]:
            found[name] = min(found[name], (len(inside[call.module]), number))
    return {name: number for name, (_, number) in found.items()}


def _shares(attached: Attached, tape: Tape, counts: Mapping[str, int]) -> dict[str, float]:
    """Torch names modules from the class of the first one that is called: of the model."""
    whole, root = counts.get("Global", 0), type(attached.model).__name__
    found = {
        path: counts.get(f"{root}.{path}" if path else root, 0) / whole / often
        for path, often in Counter(call.module for call in tape.calls).items()
        if whole
    }
    layers = {target.layer for target in attached.targets.values()} & found.keys()
    multiply = {n for n in layers if not isinstance(attached.model.get_submodule(n), nn.Embedding)}
    # Torch counts no products of recurrent layers, say: then all that is spared counts as done.
    return found if all(found[name] for name in multiply) else {}
