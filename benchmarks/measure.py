"""How a step is measured: time in turns, FLOPs, bytes kept for the backward pass, peak memory."""

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import Inputs, call

Step = Callable[[], None]
Mode = Literal["train", "infer"]


@dataclass(frozen=True)
class Counts:
    """What a step costs whatever the machine."""

    flops: int
    saved_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Times:
    """Seconds of every variant, turn by turn."""

    seconds: Mapping[str, tuple[float, ...]]

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """The median over the turns: both met the same moment of the machine."""
        return statistics.median(self._ratios(name, other))

    def error(self, name: str, other: str) -> float:
        """The standard error of that median, from the middle half of the ratios."""
        low, _, high = statistics.quantiles(self._ratios(name, other), n=4)
        return 1.253 * (high - low) / 1.349 / math.sqrt(len(self.seconds[name]))

    def _ratios(self, name: str, other: str) -> list[float]:
        return [a / b for a, b in zip(self.seconds[name], self.seconds[other], strict=True)]


def step(model: nn.Module, inputs: Inputs, mode: Mode) -> Step:
    """Forward and backward, after which the gradients are dropped; or forward alone."""
    model.train(mode == "train")
    with torch.no_grad():
        slope = torch.ones_like(call(model, inputs))
    given = inputs if isinstance(inputs, tuple) else tuple(inputs.values())
    leaves = [x for x in (*given, *model.parameters()) if x.requires_grad]

    def train() -> None:
        torch.autograd.backward(call(model, inputs), slope)
        for leaf in leaves:
            leaf.grad = None

    @torch.no_grad()
    def infer() -> None:
        call(model, inputs)

    return train if mode == "train" else infer


def in_turns(steps: Mapping[str, Step], seconds: float, least: int) -> Times:
    """Times the steps in turns for so long and at least so often; who begins changes by turn.

    With one thread it is the process's own time, which other work on the machine does not disturb.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    names = list(steps)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(2):  # the first ones warm up
        for run in steps.values():
            run()
    end = time.perf_counter() + seconds
    turn = 0
    gc.collect()
    gc.disable()
    while turn < least or time.perf_counter() < end:
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = clock()
            steps[name]()
            taken[name].append(clock() - started)
        turn += 1
    gc.enable()
    return Times({name: tuple(values) for name, values in taken.items()})


def counts(model: nn.Module, inputs: Inputs, mode: Mode) -> Counts:
    run = step(model, inputs, mode)
    return Counts(flops(run), _saved(run, model, inputs), _peak(run))


def flops(run: Step) -> int:
    """Torch's count of a step, and the products added in place, which it forgets."""
    aten = torch.ops.aten
    forgotten = dict.fromkeys((aten.addmm_, aten.baddbmm_), _added_in_place)
    with FlopCounterMode(display=False, custom_mapping=forgotten) as counter:
        run()
    return int(counter.get_total_flops())


def _added_in_place(_: Any, some: Any, others: Any, **__: Any) -> int:
    return 2 * int(math.prod(some)) * int(others[-1])  # shapes


def _saved(run: Step, model: nn.Module, inputs: Inputs) -> int:
    """Bytes of the distinct storages that a forward pass keeps for the backward pass.

    Those of parameters, buffers and inputs are left out: they are there anyway. A view counts
    with its whole storage, which it keeps alive.
    """
    given = inputs if isinstance(inputs, tuple) else inputs.values()
    there = {_storage(x) for x in (*given, *model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept.setdefault(_storage(tensor), tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in there)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _peak(run: Step) -> int:
    """The most that a step holds at once of torch's CPU allocator, beyond what was held before.

    The scratch memory of oneDNN's own kernels is not seen.
    """
    with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    events = seen.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = most = 0
    for _, change in sorted(changes, key=lambda found: found[0]):
        held += change
        most = max(most, held)
    return most


@contextmanager
def _silent() -> Iterator[None]:
    """The profiler writes notices of its own to the terminal, past Python."""
    before = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
