"""A tape of one forward pass: which modules ran, in which order, and who used what they gave."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves

from autolora.lora.weight import AdaptedWeight

Forward = Callable[..., Any]

# What torch can be asked about a tensor without a look at its values.
ABOUT = frozenset(
    (
        *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim")),
        *(Tensor.size, Tensor.dim, Tensor.__len__, Tensor.is_floating_point),
    )
)


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes:
        module: Its name.
        inside: The modules whose calls were open when it began, itself included.
        early: Whether it ended before the tape's `stop`.
        pure: Whether it changed neither its inputs nor its buffers.
        leaves: What it gave, flat; the tape keeps it alive, so that identities stay unique.
        structure: The form of what it gave.
    """

    module: str
    inside: frozenset[str]
    early: bool = False
    pure: bool = False
    leaves: list[Any] = field(default_factory=list)
    structure: TreeSpec | None = None


@dataclass(frozen=True)
class Use:
    """Tensors that torch was asked about, by identity.

    Attributes:
        inside: The modules that were open then.
        tensors: Their identities.
        values: Whether it was asked for more than size and type.
    """

    inside: frozenset[str]
    tensors: frozenset[int]
    values: bool


@dataclass
class Tape:
    """A forward pass of some examples.

    Attributes:
        examples: How many.
        calls: In the order in which they ended.
        uses: In the order in which they happened.
        stop: What came first of all that changes from step to step: something trained, a random
            number, statistics of the batch. What is computed later may depend on it.
    """

    examples: int
    calls: list[Call] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    stop: str | None = None


def record(
    model: nn.Module, trained: Collection[str], run: Callable[[], Any], examples: Tensor
) -> Tape:
    """The tape of one call of `run`, which calls the model and works on what it gives.

    Shapes: examples (batch,), on the device of the model.
    """
    tape = Tape(len(examples))
    recorder = _Recorder(tape, frozenset(trained), examples.device)
    forwards = {
        name: recorder.around(name, module)
        for name, module in model.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
    }
    with replaced(model, forwards), recorder:
        run()
    return tape


@contextmanager
def replaced(model: nn.Module, forwards: Mapping[str, Forward]) -> Iterator[None]:
    """Within this context some modules, by name, compute something else; exactly undone after."""
    places = [(model.get_submodule(name).__dict__, new) for name, new in forwards.items()]
    before = [(place, place.get("forward")) for place, _ in places]
    try:
        for place, new in places:
            place["forward"] = new
        yield
    finally:
        for place, old in before:
            if old is None:
                place.pop("forward", None)
            else:
                place["forward"] = old


class _Recorder(TorchFunctionMode):
    """Sees every torch function, and every forward that went through `around`."""

    def __init__(self, tape: Tape, trained: frozenset[str], device: torch.device) -> None:
        super().__init__()
        self._tape, self._trained, self._device = tape, trained, device
        self._numbers = _random_state(device)
        self._open: list[str] = []
        self._known: set[int] = set()
        self._looking = True

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """What the recorder itself asks of tensors is no use of them."""
        self._looking = False
        try:
            yield
        finally:
            self._looking = True

    def around(self, name: str, module: nn.Module) -> Forward:
        """The forward of a module, noted on the tape."""
        forward = module.forward

        def noted(*args: Any, **kwargs: Any) -> Any:
            self._open.append(name)
            call = Call(name, frozenset(self._open))
            with self._unseen():
                self._begin(name, module)
                before = _changeable(module, (args, kwargs))
            try:
                output = forward(*args, **kwargs)
                with self._unseen():
                    self._look_for_draws()
                    call.pure = before == _changeable(module, (args, kwargs))
                    self._end(call, output)
            finally:
                self._open.pop()
            return output

        return noted

    def _begin(self, name: str, module: nn.Module) -> None:
        if name in self._trained:
            self._stop(f"{name} is trained")
        if _by_batch(module):
            self._stop(f"{name} normalises by the batch")

    def _end(self, call: Call, output: Any) -> None:
        call.leaves, call.structure = tree_flatten(output)
        call.early = self._tape.stop is None
        self._tape.calls.append(call)
        self._known.update(id(leaf) for leaf in call.leaves if isinstance(leaf, Tensor))

    def _stop(self, reason: str) -> None:
        self._tape.stop = self._tape.stop or reason

    def _look_for_draws(self) -> None:
        """Whatever drew a random number, inside a module or between them, ends the lower part."""
        if self._tape.stop is None and self._numbers != _random_state(self._device):
            self._stop(f"{self._open[-1] if self._open else 'the task'} draws random numbers")

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        if not self._looking:
            return function(*args, **(kwargs or {}))
        found = tree_leaves((args, kwargs))
        if any(map(_is_trained, found)):
            self._stop(f"{self._open[-1] if self._open else 'the task'} uses what is trained")
        seen = frozenset(id(leaf) for leaf in found) & self._known
        if seen:
            self._tape.uses.append(Use(frozenset(self._open), seen, function not in ABOUT))
        result = function(*args, **(kwargs or {}))
        self._look_for_draws()
        return result


def _is_trained(value: Any) -> bool:
    return isinstance(value, AdaptedWeight) or (isinstance(value, Tensor) and value.requires_grad)


def _changeable(module: nn.Module, given: Any) -> list[tuple[int, int]]:
    """The identities and versions of what a call may change beside what it gives."""
    tensors = [*module.buffers(), *(x for x in tree_leaves(given) if isinstance(x, Tensor))]
    return [(id(x), x._version) for x in tensors]  # noqa: SLF001 - torch counts nowhere else


def _random_state(device: torch.device) -> tuple[Any, ...]:
    """Where the generators stand that a model may draw from."""
    numbers: Any = np.random.get_state()  # noqa: NPY002 - watched, not drawn from
    here = torch.random.get_rng_state().numpy().tobytes()
    there = torch.cuda.get_rng_state(device).numpy().tobytes() if device.type == "cuda" else b""
    return here, there, numbers[1].tobytes(), numbers[2], random.getstate()


def _by_batch(module: nn.Module) -> bool:
    """Whether a module normalises by the statistics of the batch."""
    return isinstance(module, _BatchNorm) and (module.training or module.running_mean is None)
