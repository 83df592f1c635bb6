"""The laws under torch's function transforms: vmap, forward and reverse derivatives, export.

An adapted model is a function of its factors and of its input. So is the plain model whose weights
are base + scale · up · down, written out in plain tensors. Whatever transform torch applies to the
one must give what it gives for the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from autolora.lora import layout
from autolora.lora.attach import Attached, attached
from autolora.lora.example import Example
from autolora.testing.stage import Mode, adapted, close, stage, tensors

Values = dict[str, Tensor]
Function = Callable[[Values, tuple[Any, ...]], list[Tensor]]


@dataclass(frozen=True)
class Pair:
    """One example as two functions of factors and inputs: adapted, and with dense weights."""

    mine: Function
    dense: Function
    factors: Values
    inputs: tuple[Any, ...]


def pair(example: Example, mode: Mode = "train") -> Pair:
    """Both functions of an example, and the factors and inputs of one call."""
    made, plain = adapted(example, mode), stage(example, mode).model.requires_grad_(False)
    adapter, model = attached(made.model), made.model
    names = {id(p): name for name, p in model.named_parameters()}

    def mine(factors: Values, inputs: tuple[Any, ...]) -> list[Tensor]:
        return _floats(functional_call(model, factors, inputs, tie_weights=False))

    def dense(factors: Values, inputs: tuple[Any, ...]) -> list[Tensor]:
        weights = _dense(plain, adapter, factors, names)
        return _floats(functional_call(plain, weights, inputs, tie_weights=False))

    factors = {names[id(p)]: p.detach().clone() for p in adapter.parameters()}
    return Pair(mine, dense, factors, made.inputs)


def factors_are_replaced(both: Pair) -> None:
    """`functional_call` with other factors answers as the dense sum of those."""
    others = candidates(both.factors, 1)
    chosen = {name: values[0] for name, values in others.items()}
    close(both.mine(chosen, both.inputs), both.dense(chosen, both.inputs))


def candidates_are_stacked(both: Pair) -> None:
    """`vmap` over stacked factors answers for each candidate what it answers alone."""
    stacked = candidates(both.factors, 3)
    found = vmap(both.mine, (0, None), randomness="same")(stacked, both.inputs)
    alone = [both.dense({n: v[i] for n, v in stacked.items()}, both.inputs) for i in range(3)]
    close(found, [torch.stack(parts) for parts in zip(*alone, strict=True)])


def gradients_agree(both: Pair) -> None:
    """`torch.func.grad` with respect to the factors."""
    _agree(both, lambda f: grad(_loss(f)))


def gradients_of_each_sample_agree(both: Pair) -> None:
    """`vmap(grad)` over several inputs: per-sample gradients."""
    inputs = tree_map(_three, both.inputs)
    found, wanted = (
        vmap(grad(_loss(f)), (None, 0), randomness="same")(both.factors, inputs)
        for f in (both.mine, both.dense)
    )
    close(list(found.values()), list(wanted.values()))


def directional_derivatives_agree(both: Pair) -> None:
    """`jvp`: forward mode along a direction of all factors."""
    tangents = {name: torch.cos(value) for name, value in both.factors.items()}

    def along(f: Function) -> list[Tensor]:
        found = jvp(lambda factors: f(factors, both.inputs), (both.factors,), (tangents,))
        return list(found[1])

    close(along(both.mine), along(both.dense))


def jacobians_agree(both: Pair) -> None:
    """`jacrev` and `jacfwd`, of some of the outputs."""

    def some(f: Function) -> Function:
        return lambda factors, inputs: [a.flatten()[:40] for a in f(factors, inputs)]

    _agree(both, lambda f: jacrev(some(f)))
    _agree(both, lambda f: jacfwd(some(f)))


def curvatures_agree(both: Pair) -> None:
    """The second derivative along the factors, forward over reverse and reverse over reverse."""
    along = {name: torch.cos(value) for name, value in both.factors.items()}

    def forward(f: Function) -> Values:
        slope = grad(_loss(f))
        return dict(jvp(lambda p: slope(p, both.inputs), (both.factors,), (along,))[1])

    def reverse(f: Function) -> Values:
        slope = grad(_loss(f))

        def projected(factors: Values) -> Tensor:
            slopes = slope(factors, both.inputs)
            return torch.stack([(slopes[n] * along[n]).sum() for n in along]).sum()

        return dict(grad(projected)(both.factors))

    for second in (forward, reverse):
        close(list(second(both.mine).values()), list(second(both.dense).values()))


TransformLaw = Callable[[Pair], None]

TRANSFORM_LAWS: tuple[TransformLaw, ...] = (
    factors_are_replaced,
    candidates_are_stacked,
    gradients_agree,
    gradients_of_each_sample_agree,
    directional_derivatives_agree,
    jacobians_agree,
    curvatures_agree,
)


def the_export_agrees(example: Example, mode: Mode, *, strict: bool) -> None:
    """`torch.export` holds base and factors; decomposed to core operators, it answers the same."""
    made = adapted(example, mode)
    with torch.no_grad():
        wanted = made.answer()
        program = torch.export.export(made.model, made.inputs, strict=strict)
        close(tensors(program.module()(*made.inputs)), wanted)
        close(tensors(program.run_decompositions().module()(*made.inputs)), wanted)
    factors = {name for name, _ in made.model.named_parameters() if ".lora." in f".{name}"}
    assert factors <= set(program.state_dict)


def candidates(factors: Mapping[str, Tensor], count: int) -> Values:
    """Several sets of factors, stacked, as those of one model after several trainings.

    Where a factor is zero it stays so: that row belongs to a padding token.
    """
    generator = torch.Generator().manual_seed(7)
    return {
        name: torch.stack([value] * count)
        * (1 + torch.rand(count, *value.shape, generator=generator, dtype=value.dtype))
        for name, value in factors.items()
    }


def _agree(both: Pair, transform: Callable[[Function], Callable[..., Any]]) -> None:
    found, wanted = (
        tensors(transform(f)(both.factors, both.inputs)) for f in (both.mine, both.dense)
    )
    assert any(bool(value.any()) for value in wanted)
    close(found, wanted)


def _dense(
    plain: nn.Module, adapter: Attached, factors: Values, names: Mapping[int, str]
) -> Values:
    """The weights of the plain model with the deltas of these factors, made out of place."""
    weights: Values = {}
    for name, target in adapter.targets.items():
        part = adapter.factors[name]
        up, down = (factors[names[id(p)]] for p in (part.up, part.down))
        key = ".".join(filter(None, (target.layer, target.parameter)))
        base = weights.get(key, plain.get_parameter(key))
        whole = layout.matrix(base, target.layout)
        below = len(whole) - target.first_row - target.rows
        delta = F.pad(part.scale * (up @ down), (0, 0, target.first_row, below))
        weights[key] = layout.parameter(whole + delta, base.shape, target.layout)
    return _under_all_names(plain, weights)


def _under_all_names(plain: nn.Module, weights: Values) -> Values:
    """The same for every user of a tied weight, but once for a layer that has two names.

    Torch's own `tie_weights` swaps such a layer's weight twice and leaves it swapped.
    """
    values = {id(plain.get_parameter(key)): value for key, value in weights.items()}
    places: dict[tuple[int, str], tuple[str, Tensor]] = {}
    for name, parameter in plain.named_parameters(remove_duplicate=False):
        path, _, attribute = name.rpartition(".")
        if id(parameter) in values:
            place = id(plain.get_submodule(path)), attribute
            places.setdefault(place, (name, values[id(parameter)]))
    return dict(places.values())


def _loss(f: Function) -> Callable[[Values, tuple[Any, ...]], Tensor]:
    def loss(factors: Values, inputs: tuple[Any, ...]) -> Tensor:
        return torch.stack([a.square().sum() for a in f(factors, inputs)]).sum()

    return loss


def _three(value: Any) -> Any:
    """An input thrice, each another; a row of whole numbers may be offsets and stays the same."""
    if value.is_floating_point():
        return torch.stack([value, 2 * value, value - 1])
    return torch.stack([value, value if value.ndim < 2 else value.flip(-1), value])


def _floats(output: Any) -> list[Tensor]:
    return [t for t in tensors(output) if t.is_floating_point()]
