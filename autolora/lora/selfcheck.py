"""The self-check: does the model use what was adapted?

A parent that bypasses a layer, a head that is never called, a router that sends nothing: the
adapter then trains in vain, silently. One small batch tells.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from autolora.errors import DeadTargets
from autolora.lora.attach import Attached, attached
from autolora.lora.low_rank import LowRank

_NOISE = 0.01  # small beside trained weights, so that many layers of it do no harm


def check(model: nn.Module, run: Callable[[nn.Module], Any], name: str = "default") -> None:
    """Runs one batch and makes sure that every adapted target matters.

    In evaluation mode each target must receive gradient, and perturbing it alone must change the
    output, which is how allocations are compared later. It leaves parameters, gradients, modes and
    torch's generator as they were. Cost: one forward and backward, and one forward per target.

    Args:
        model: A model with an adapter attached.
        run: Calls the model on a small batch; every float tensor in its result counts.
        name: The adapter to check.

    Raises:
        DeadTargets: naming the targets without gradient and those without effect.
    """
    adapter = attached(model, name)
    with _undisturbed(model, adapter), _stirred(adapter):
        silent = _without_gradient(adapter, run)
        idle = _without_effect(adapter, run)
    if silent or idle:
        raise DeadTargets(silent, idle)


def _without_gradient(adapter: Attached, run: Callable[[nn.Module], Any]) -> list[str]:
    """Targets whose `up` gets no gradient from a random projection of the output."""
    if not adapter.factors:
        return []
    with torch.enable_grad():
        out = _floats(run(adapter.model))
        total = torch.stack([(o * torch.randn_like(o)).sum() for o in out]).sum()
        ups = [part.up for part in adapter.factors.values()]
        if not total.requires_grad:
            return list(adapter.factors)
        gradients = torch.autograd.grad(total, ups, allow_unused=True)
    return [
        name
        for name, gradient in zip(adapter.factors, gradients, strict=True)
        if gradient is None or not gradient.any()
    ]


@torch.no_grad()
def _without_effect(adapter: Attached, run: Callable[[nn.Module], Any]) -> list[str]:
    """Targets that can be perturbed without any change of the output."""
    before = [o.clone() for o in _floats(run(adapter.model))]
    idle = []
    for name, part in adapter.factors.items():
        with _perturbed(part):
            after = _floats(run(adapter.model))
        if all(torch.equal(a, b) for a, b in zip(before, after, strict=True)):
            idle.append(name)
    return idle


@contextmanager
def _stirred(adapter: Attached) -> Iterator[None]:
    """A little noise on all that is trained: a head that starts at zero lets no gradient pass."""
    before = [(parameter, parameter.detach().clone()) for parameter in adapter.parameters()]
    try:
        with torch.no_grad():
            for parameter, _ in before:
                parameter.add_(_NOISE * torch.randn_like(parameter))
        yield
    finally:
        with torch.no_grad():
            for parameter, value in before:
                parameter.copy_(value)


@contextmanager
def _perturbed(part: LowRank) -> Iterator[None]:
    up = part.up.clone()
    part.up.add_(torch.randn_like(part.up))
    try:
        yield
    finally:
        part.up.copy_(up)


@contextmanager
def _undisturbed(model: nn.Module, adapter: Attached) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    flags = [(p, p.requires_grad) for f in adapter.factors.values() for p in f.parameters()]
    with torch.random.fork_rng(devices=[]):
        for parameter, _ in flags:
            parameter.requires_grad_(True)
        try:
            model.eval()
            yield
        finally:
            for module, training in modes:
                module.training = training
            for parameter, needed in flags:
                parameter.requires_grad_(needed)


def _floats(output: Any) -> list[Tensor]:
    leaves = tree_leaves(dict(output) if hasattr(output, "items") else output)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
