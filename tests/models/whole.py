"""Whole models: what must hold when every target of one is adapted at once.

One row is one model. The laws run it in float64, from the same weights at every making.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from autolora.errors import DeadTargets
from autolora.lora import Attached, check, detach, layout, merge, targets
from autolora.lora.targets import join
from autolora.testing.stage import add_dense, attach_everywhere, differ, randomise, same, tensors

SEED = 0
SHARE = 0.5  # the spread of a delta's entries as a part of the spread of the weight's


@dataclass(frozen=True)
class Row:
    """A model, the arguments of one call by name, and what is known of its targets.

    `idle` names, as globs, targets that cannot change this call's output, each with the reason;
    `left` names parameters of two dimensions or more that are no targets.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Mapping[str, Any]]
    idle: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)

    def model(self, mode: str = "eval") -> nn.Module:
        """The model made anew: equal weights at every call."""
        torch.manual_seed(SEED)
        return self.build().double().train(mode == "train")

    def run(self, model: nn.Module) -> list[Tensor]:
        """Every float tensor that it answers; what it drops in training is the same each time."""
        torch.manual_seed(SEED)
        arguments = {name: _double(value) for name, value in self.inputs().items()}
        return [t for t in tensors(model(**arguments)) if t.is_floating_point()]

    def is_idle(self, target: str) -> bool:
        """Whether a target is among those that cannot matter."""
        return any(fnmatchcase(target.replace("[", "("), glob) for glob in self.idle)


@torch.no_grad()
def stirred(adapter: Attached) -> Attached:
    """Random factors: each delta half as large as the weight it is added to."""
    randomise(adapter)
    for name, part in adapter.factors.items():
        target = adapter.targets[name]
        base = adapter.model.get_submodule(target.layer)._parameters[target.parameter]
        spread = float(base.std()) or 0.02
        part.up.mul_(SHARE * spread / (part.scale * part.rank**0.5))
    return adapter


def adapted(row: Row, mode: str) -> tuple[nn.Module, Attached]:
    model = row.model(mode)
    return model, stirred(attach_everywhere(model))


def dense(row: Row, mode: str, adapter: Attached) -> nn.Module:
    """The plain model with the deltas added in place to its weights; all of them trainable."""
    return add_dense(row.model(mode), adapter).requires_grad_(True)


def a_fresh_attach_changes_nothing(row: Row, mode: str) -> None:
    """Bit for bit what the frozen model answers; with gradients, up to the last bits.

    Which kernel torch takes for some products, and so the last bit, depends on whether a weight
    asks for a gradient: the sum of base and delta does, the frozen base does not.
    """
    model = row.model(mode).requires_grad_(False)
    with torch.no_grad():
        before = row.run(model)
        attach_everywhere(model)
        same(row.run(model), before)
    near(row.run(model), before, 1e-12)


def it_equals_the_dense_delta(row: Row, mode: str) -> None:
    model, adapter = adapted(row, mode)
    wanted = row.run(dense(row, mode, adapter))
    assert all(bool(w.isfinite().all()) for w in wanted)
    assert differ(wanted, row.run(row.model(mode))), "the delta must change the output"
    near(row.run(model), wanted)


def every_target_matters(row: Row, mode: str = "eval") -> None:
    model = row.model(mode)
    adapter = attach_everywhere(model)
    found = dead(model, row)
    listed = {name for name in adapter.factors if row.is_idle(name)}
    assert found == listed, f"idle: {sorted(found - listed)}; not idle: {sorted(listed - found)}"
    for glob in row.idle:
        assert any(fnmatchcase(n.replace("[", "("), glob) for n in adapter.factors), glob


def every_matrix_is_a_target(row: Row) -> None:
    """But for those that are listed, and for the further names of a tied weight."""
    model = row.model()
    known = {join(target.layer, target.parameter) for target in targets(model)}
    left = {n for n, p in model.named_parameters() if p.ndim > 1} - known
    listed = {name for name in left if any(fnmatchcase(name, glob) for glob in row.left)}
    assert left == listed, f"no targets: {sorted(left - listed)}"
    for glob in row.left:
        assert any(fnmatchcase(name, glob) for name in left), f"{glob} is a target"


def detach_restores(row: Row, mode: str) -> None:
    """Weights, keys, classes, flags and answers."""
    model = row.model(mode)
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    types = [type(module) for module in model.modules()]
    answer = row.run(model)
    state = copy.deepcopy(model.state_dict())
    stirred(attach_everywhere(model))
    model.eval()
    row.run(model)
    model.train(mode == "train")
    detach(model)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == flags
    assert [type(module) for module in model.modules()] == types
    assert list(model.state_dict()) == list(state)
    same(list(model.state_dict().values()), list(state.values()))
    same(row.run(model), answer)


def merged_equals_adapted(row: Row, mode: str) -> None:
    model, _ = adapted(row, mode)
    answer = row.run(model)
    merge(model)
    assert list(model.state_dict()) == list(row.model(mode).state_dict())
    near(row.run(model), answer)


def gradients_follow_the_chain_rule(row: Row, mode: str) -> None:
    """With G the gradient of the dense sum, up gets s · G · downᵀ and down s · upᵀ · G."""
    model, adapter = adapted(row, mode)
    plain = dense(row, mode, adapter)
    _total(row.run(model)).backward()
    _total(row.run(plain)).backward()
    for name, part in adapter.factors.items():
        if row.is_idle(name):
            continue
        target = adapter.targets[name]
        whole = plain.get_submodule(target.layer).get_parameter(target.parameter).grad
        slope = layout.matrix(whole, target.layout)[target.first_row :][: target.rows]
        near([part.up.grad], [part.scale * slope @ part.down.T], 1e-8, name)
        near([part.down.grad], [part.scale * part.up.T @ slope], 1e-8, name)


def dead(model: nn.Module, row: Row) -> set[str]:
    """The targets that the self-check finds without effect or gradient."""
    try:
        check(model, row.run)
    except DeadTargets as error:
        return {*error.without_gradient, *error.without_effect}
    return set()


def near(
    found: list[Tensor], wanted: list[Tensor], tolerance: float = 1e-9, what: str = ""
) -> None:
    """Equal up to a part of each tensor's largest value."""
    for a, b in zip(found, wanted, strict=True):
        off = float((a - b).detach().abs().max()) / max(float(b.detach().abs().max()), 1e-30)
        assert off < tolerance, f"{what or tuple(b.shape)} is off by {off:.1e}"


def _total(answer: list[Tensor]) -> Tensor:
    """A number that depends on every output, on each differently."""
    generator = torch.Generator().manual_seed(5)
    return torch.stack(
        [(a * torch.randn(a.shape, generator=generator, dtype=a.dtype)).sum() for a in answer]
    ).sum()


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
