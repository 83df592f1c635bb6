"""The laws of the adapter core over an example of a layer type; a broken law is an AssertionError.

They hold in float64 for every form of the product: see `autolora.testing.stage.form`.

>>> from autolora.lora.views.linear import EXAMPLES
>>> for mode in MODES:
...     for law in LAWS:
...         law(EXAMPLES[0], mode)
"""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from autolora.lora import layout
from autolora.lora.attach import Attached, attach, attached, detach, disabled
from autolora.lora.example import Example
from autolora.lora.merge import merge
from autolora.lora.targets import targets
from autolora.testing.stage import (
    MODES,
    Mode,
    adapted,
    add_dense,
    attach_everywhere,
    close,
    differ,
    fast_path,
    randomise,
    same,
    stage,
)

__all__ = ["GRADIENT_LAWS", "LAWS", "MODES", "Law"]

Law = Callable[[Example, Mode], None]


def a_fresh_attach_changes_nothing(example: Example, mode: Mode) -> None:
    """Bit for bit; to 1e-9 where the plain model took torch's fused attention.

    Some kernels depend on whether a weight asks for a gradient, in the last bit; so the plain
    weights ask when the adapted ones do.
    """
    for fused, equal in ((False, same), (True, close)):
        made = stage(example, mode)
        made.model.requires_grad_(mode != "no_grad")
        with fast_path(fused):
            before = made.answer()
            attach_everywhere(made.model)
            equal(made.answer(), before)


def it_equals_the_dense_delta(example: Example, mode: Mode) -> None:
    """What random factors do is what the product, added to the weight in place, does."""
    made, plain = adapted(example, mode), stage(example, mode)
    add_dense(plain.model, attached(made.model))
    wanted = plain.answer()
    assert differ(wanted, stage(example, mode).answer()), "the delta must change the example"
    close(made.answer(), wanted)


def every_target_matters(example: Example, mode: Mode) -> None:
    """Each delta alone changes the output; otherwise the example would not test it."""
    made = stage(example, mode)
    adapter = attach_everywhere(made.model)
    assert adapter.factors, f"{example.name} has no target"
    before = made.answer()
    for name, part in adapter.factors.items():
        with torch.no_grad():
            part.up.normal_()
            changed = differ(made.answer(), before)
            part.up.zero_()
        assert changed, f"{name} of {example.name} has no effect"


def detach_restores(example: Example, mode: Mode) -> None:
    """Outputs, keys, values, types, flags and every entry of every module."""
    made = stage(example, mode)
    next(made.model.parameters()).requires_grad_(False)
    with fast_path(False):
        before, answer = _inventory(made.model), made.answer()
        randomise(attach_everywhere(made.model))
        made.answer()
        detach(made.model)
        assert _inventory(made.model) == before
        same(made.answer(), answer)


def disabled_lets_the_base_answer(example: Example, mode: Mode) -> None:
    """Within the context, and only there."""
    made = adapted(example, mode)
    with fast_path(False):
        answer = made.answer()
        plain = stage(example, mode)
        plain.model.requires_grad_(False)
        with disabled(made.model):
            same(made.answer(), plain.answer())
        same(made.answer(), answer)


def merged_equals_adapted(example: Example, mode: Mode) -> None:
    """Merged, the model is plain and answers alike; unmerged, it is as before bit for bit."""
    made = adapted(example, mode)
    keys, answer = list(stage(example, mode).model.state_dict()), made.answer()
    weights = copy.deepcopy(made.model.state_dict())
    merged = merge(made.model)
    close(made.answer(), answer)
    assert list(made.model.state_dict()) == keys
    merged.unmerge()
    same(made.answer(), answer)
    same(list(made.model.state_dict().values()), list(weights.values()))
    assert list(made.model.state_dict()) == list(weights)


def copies_are_independent(example: Example, mode: Mode) -> None:
    """A deep copy and a pickle answer alike; what befalls them leaves the original alone."""
    made = adapted(example, mode)
    answer = made.answer()
    for twin in (copy.deepcopy(made.model), pickle.loads(pickle.dumps(made.model))):
        same(made.of(twin).answer(), answer)
        randomise(attached(twin), seed=2)
        assert differ(made.of(twin).answer(), answer), "the copy must use its own factors"
        detach(twin)
        same(made.answer(), answer)
        close(made.of(twin).answer(), stage(example, mode).answer())


def parameters_are_counted(example: Example, mode: Mode) -> None:
    """What an allocation says it costs is what is trained, and nothing else is."""
    made = stage(example, mode)
    base, known = sum(p.numel() for p in made.model.parameters()), targets(made.model)
    adapter = attach_everywhere(made.model)
    counted = adapter.allocation.parameters(known)
    assert counted == sum(p.numel() for p in adapter.parameters())
    assert counted == sum(p.numel() for p in made.model.parameters() if p.requires_grad)
    assert counted == sum(p.numel() for p in made.model.parameters()) - base


def adapters_add(example: Example, mode: Mode) -> None:
    """Two adapters are the sum of their deltas in either order; one leaves, the other stays."""
    first, second = stage(example, mode), stage(example, mode)
    a, b = _two(first.model, ("a", "b"))
    _two(second.model, ("b", "a"))
    plain = stage(example, mode)
    add_dense(plain.model, b)
    only_b = plain.answer()
    add_dense(plain.model, a)
    close(first.answer(), plain.answer())
    close(second.answer(), plain.answer())
    detach(first.model, "a")
    close(first.answer(), only_b)


def dropout_is_for_training(example: Example, mode: Mode) -> None:
    """It changes what training sees and nothing else."""
    made = stage(example, mode)
    ranks = attach_everywhere(made.model).allocation
    detach(made.model)
    randomise(attach(made.model, ranks, dropout=0.9))
    dropped = made.answer()
    for part in attached(made.model).factors.values():
        part.dropout = 0.0
    assert differ(dropped, made.answer()) == (mode == "train")


def gradients_reach_the_factors(example: Example, mode: Mode) -> None:
    """Both factors get the gradient that the chain rule gives them, and no base weight gets any.

    Source: Hu et al. 2021, equation 3: with G the gradient of the sum, up gets s · G · downᵀ and
    down gets s · upᵀ · G.
    """
    made, plain = adapted(example, mode), stage(example, mode)
    adapter = attached(made.model)
    add_dense(plain.model, adapter)
    torch.autograd.backward(_total(made.answer()))
    torch.autograd.backward(_total(plain.answer()))
    for name, part in adapter.factors.items():
        slope = _gradient(plain.model, adapter, name)
        assert part.up.grad is not None, f"no gradient reaches up of {name}"
        assert part.down.grad is not None, f"no gradient reaches down of {name}"
        assert part.up.grad.any(), f"the gradient of up of {name} is zero"
        assert part.down.grad.any(), f"the gradient of down of {name} is zero"
        close([part.up.grad], [part.scale * slope @ part.down.T], 1e-8)
        close([part.down.grad], [part.scale * part.up.T @ slope], 1e-8)
    trained = {id(p) for p in adapter.parameters()}
    assert all(p.grad is None for p in made.model.parameters() if id(p) not in trained)


LAWS: tuple[Law, ...] = (
    a_fresh_attach_changes_nothing,
    it_equals_the_dense_delta,
    every_target_matters,
    detach_restores,
    disabled_lets_the_base_answer,
    merged_equals_adapted,
    copies_are_independent,
    parameters_are_counted,
    adapters_add,
    dropout_is_for_training,
)
GRADIENT_LAWS: tuple[Law, ...] = (gradients_reach_the_factors,)  # in the modes with gradients


def _two(model: nn.Module, order: tuple[str, str]) -> tuple[Attached, Attached]:
    ranks = {"a": 2, "b": 1}
    made = {name: attach_everywhere(model, name, ranks[name]) for name in order}
    return randomise(made["a"], 3), randomise(made["b"], 4)


def _total(answer: list[Tensor]) -> Tensor:
    """A number that depends on every output, on each differently."""
    generator = torch.Generator().manual_seed(5)
    floats = [a for a in answer if a.is_floating_point()]
    return torch.stack(
        [(a * torch.randn(a.shape, generator=generator, dtype=a.dtype)).sum() for a in floats]
    ).sum()


def _gradient(plain: nn.Module, adapter: Attached, name: str) -> Tensor:
    target = adapter.targets[name]
    whole = plain.get_submodule(target.layer).get_parameter(target.parameter).grad
    assert whole is not None
    slopes = layout.matrix(whole, target.layout)
    return slopes[target.first_row : target.first_row + target.rows]


def _inventory(model: nn.Module) -> dict[str, Any]:
    """All that detaching must bring back; tensors by identity and content."""
    return {
        path: (
            type(module),
            {key: _fingerprint(value) for key, value in vars(module).items()},
            [(name, p.requires_grad) for name, p in module.named_parameters(recurse=False)],
        )
        for path, module in model.named_modules()
    }


def _fingerprint(value: Any) -> Any:
    if isinstance(value, Tensor):
        return id(value), value.tolist()
    if isinstance(value, dict):
        return type(value), {key: _fingerprint(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fingerprint(item) for item in value]
    return id(value) if isinstance(value, nn.Module) else value
