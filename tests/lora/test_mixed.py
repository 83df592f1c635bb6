"""A mixed batch gives what one call per sample with only its adapter gives."""

from typing import Any

import pytest
import torch
from mixed_cases import (
    EACH,
    MHA,
    PATTERNS,
    SHAPE,
    adapted,
    attention,
    call,
    check_gradients,
    close,
    crossed,
    looped,
    memory,
    randomised,
)
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import autolora
from autolora.lora import attach, targets
from autolora.lora.targets import every_target


@EACH
@pytest.mark.parametrize("names", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("training", [True, False])
def test_it_is_one_call_for_each_sample(make, inputs, run, names, training) -> None:
    torch.manual_seed(0)
    model = adapted(make()).train(training)
    x = inputs() if isinstance(make(), nn.Embedding) else inputs().double()
    wanted = looped(model, x, names, run)
    with autolora.mixed(model, names):
        found = run(model, x)
        with torch.no_grad():
            close(run(model, x), wanted)
    close(found, wanted)
    check_gradients(model, found, wanted, names)


@EACH
def test_the_order_of_the_samples_does_not_matter(make, inputs, run) -> None:
    torch.manual_seed(0)
    model, names = adapted(make()), PATTERNS["distinct"]
    x = inputs() if isinstance(make(), nn.Embedding) else inputs().double()
    order = torch.randperm(6)
    with torch.no_grad():
        with autolora.mixed(model, names):
            wanted = run(model, x)[order]
        with autolora.mixed(model, [names[i] for i in order]):
            close(run(model, x[order]), wanted)


@EACH
def test_every_named_adapter_shows(make, inputs, run) -> None:
    torch.manual_seed(0)
    model = adapted(make())
    x = inputs() if isinstance(make(), nn.Embedding) else inputs().double()
    with torch.no_grad(), autolora.mixed(model, [None] * 6):
        base = run(model, x)
    with torch.no_grad(), autolora.mixed(model, PATTERNS["distinct"]):
        found = run(model, x)
    changed = (found - base).flatten(1).abs().amax(1) > 1e-6
    assert changed.tolist() == [name is not None for name in PATTERNS["distinct"]]


def test_a_delta_over_a_whole_pack_is_cut_for_a_memory() -> None:
    torch.manual_seed(0)
    model = adapted(MHA(8, 2, batch_first=True))
    whole = next(t.name for t in every_target(model) if t.name == "in_proj_weight")
    randomised(attach(model, {whole: 2}, name="whole"))
    x, names = torch.randn(SHAPE).double(), ["a", "whole", "b", None, "whole", "c"]
    wanted = looped(model, x, names, memory)
    with autolora.mixed(model, names):
        found = memory(model, x)
    close(found, wanted)
    check_gradients(model, found, wanted, names)


@pytest.mark.parametrize("widths", [{}, {"kdim": 6, "vdim": 5}], ids=["packed", "separate"])
@pytest.mark.parametrize("names", [["in", None, "in"], ["out", None, "out"], ["in", "out", None]])
def test_projections_that_some_adapters_leave_out(widths, names) -> None:
    torch.manual_seed(0)
    model = MHA(8, 2, batch_first=True, **widths).double()
    found = [t.name for t in targets(model)]
    randomised(attach(model, dict.fromkeys(found[:-1], 2), name="in"))
    randomised(attach(model, {found[-1]: 2}, name="out"))
    x = torch.randn(3, 5, 8).double()
    run = crossed if widths else memory
    wanted = looped(model, x, names, run)
    with autolora.mixed(model, names):
        out = run(model, x)
    close(out, wanted)
    check_gradients(model, out, wanted, names)


class Calls(TorchDispatchMode):
    """Counts what torch computes."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        self.number += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(
    ("make", "x", "run"),
    [
        (lambda: nn.Linear(8, 5), lambda: torch.randn(12, 3, 8), call),
        (lambda: nn.Conv1d(4, 6, 3), lambda: torch.randn(12, 4, 9), call),
        (lambda: nn.Conv2d(8, 6, 1), lambda: torch.randn(12, 8, 5, 5), call),
        (lambda: MHA(8, 2, batch_first=True), lambda: torch.randn(12, 3, 8), attention()),
    ],
    ids=["linear", "conv", "pointwise", "attention"],
)
def test_twelve_adapters_take_no_more_calls_than_two(make, x, run, grad) -> None:
    torch.manual_seed(0)
    model, inputs = make(), x()
    for number in range(12):
        ranks = {t.name: 1 + number % 2 for t in targets(model)}
        randomised(attach(model, ranks, name=str(number)))

    def calls(names: list[str]) -> int:
        with torch.set_grad_enabled(grad), autolora.mixed(model, names), Calls() as found:
            run(model, inputs)
        return found.number

    few, many = calls(["0", "1"] * 6), calls([str(number) for number in range(12)])
    assert 0 < many <= few
