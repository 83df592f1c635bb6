"""Adapters of which single ranks are kept, whichever those are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autolora.artifacts.adapter import Adapter


def chosen(adapter: Adapter, components: Mapping[str, Sequence[int]]) -> Adapter:
    """The named ranks of every target; targets without any leave the adapter."""
    kept = {n: list(which) for n, which in components.items() if which and n in adapter.factors}
    factors = {
        name: (adapter.factors[name][0][:, which].clone(), adapter.factors[name][1][which].clone())
        for name, which in kept.items()
    }
    targets = {name: adapter.targets[name] for name in kept}
    paths = {t.layer for t in targets.values()} | {n.rpartition(".")[0] for n in adapter.full}
    return replace(
        adapter,
        targets=targets,
        factors=factors,
        scales={name: adapter.scales[name] for name in kept},
        layers={path: layer for path, layer in adapter.layers.items() if path in paths},
    )


def nonzero(adapter: Adapter) -> Adapter:
    """The ranks whose `up` is not zero: what a treatment has left of those it began with."""
    return chosen(
        adapter,
        {n: up.any(0).nonzero().flatten().tolist() for n, (up, _) in adapter.factors.items()},
    )
