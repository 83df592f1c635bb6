"""The laws at the precision of autocast, under gradient checkpointing and when compiled."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from autolora.lora.attach import attached
from autolora.lora.example import Example
from autolora.testing.stage import Mode, Stage, adapted, add_dense, close, fast_path, stage, tensors

BFLOAT16 = 2.0**-8  # half a unit in the last of its 8 digits, relative to the largest output


def it_holds_under_autocast(example: Example, mode: Mode) -> None:
    """In bfloat16 the delta still does what the dense one does, and types stay the same."""
    made, plain = adapted(example, mode, torch.float32), stage(example, mode, torch.float32)
    add_dense(plain.model, attached(made.model))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = made.answer()
        with fast_path(False):  # which does not know autocast on a CPU
            wanted = plain.answer()
    exact = stage(example, mode)
    add_dense(exact.model, attached(adapted(example, mode).model))
    for mine, theirs, true in zip(found, wanted, exact.answer(), strict=True):
        assert mine.dtype == theirs.dtype
        error, usual = (_largest(v - true) for v in (mine, theirs))
        assert error <= 4 * usual + 4 * BFLOAT16 * _largest(true)


def it_holds_under_checkpointing(example: Example, mode: Mode) -> None:
    """Recomputed in the backward pass, in both of torch's ways, the gradients are the same."""
    made = adapted(example, mode)
    wanted = _slopes(made, made.answer())
    for reentrant in (False, True):
        answer = _checkpointed(made, reentrant=reentrant)
        close(_slopes(made, answer), wanted)


def it_holds_compiled(example: Example, mode: Mode) -> None:
    """As one graph where torch compiles the layer at all: recurrent ones it leaves alone."""
    compiles = not any(isinstance(m, torch.nn.RNNBase) for m in example.model().modules())
    made = adapted(example, mode)
    torch._dynamo.reset()  # noqa: SLF001 — the documented way to forget earlier graphs
    compiled: Any = torch.compile(made.model, backend="eager", fullgraph=compiles)
    with torch.set_grad_enabled(mode != "no_grad"):
        found = tensors(compiled(*made.inputs))
    close(found, made.answer())
    if mode != "no_grad":
        close(_slopes(made, found), _slopes(made, made.answer()))


def _largest(values: Tensor) -> float:
    return float(values.detach().abs().max())


def _checkpointed(made: Stage, *, reentrant: bool) -> list[Tensor]:
    """The answer through a checkpoint; an input that asks for gradients, for the reentrant way."""
    asking = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def run(zero: Tensor) -> tuple[Tensor, ...]:
        return tuple(answer + zero for answer in tensors(made.model(*made.inputs)))

    return list(checkpoint(run, asking, use_reentrant=reentrant))


def _slopes(made: Stage, answer: list[Tensor]) -> list[Tensor]:
    factors = list(attached(made.model).parameters())
    for factor in factors:
        factor.grad = None
    torch.autograd.backward([a.square().sum() for a in answer])
    assert all(f.grad is not None for f in factors), "no gradient reaches a factor"
    return [f.grad.clone() for f in factors if f.grad is not None]
