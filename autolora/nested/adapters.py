"""Adapters of high rank, re-based and cut."""

from collections.abc import Mapping
from dataclasses import replace

from autolora.artifacts.adapter import Adapter
from autolora.lora.factors import of_pair


def rebased(adapter: Adapter) -> Adapter:
    """The same deltas by their singular values: cutting ranks off the end is the best there is.

    Factors come out balanced, with scale 1; directions of no value keep their place at the end,
    as zeros, so that ranks stay as they were.

    Source: Eckart and Young 1936.
    """
    factors = {}
    for name, (up, down) in adapter.factors.items():
        spectrum = of_pair(up, down, adapter.scales[name])
        rank = len(spectrum.values)
        new_up, new_down = up.new_zeros(up.shape), down.new_zeros(down.shape)
        first, second = spectrum.pair(rank)
        new_up[:, :rank], new_down[:rank] = first.to(up.dtype), second.to(down.dtype)
        factors[name] = (new_up, new_down)
    return replace(adapter, factors=factors, scales=dict.fromkeys(factors, 1.0))


def cut(adapter: Adapter, ranks: Mapping[str, int]) -> Adapter:
    """The first ranks of every target; targets of rank 0 leave the adapter."""
    kept = {name: rank for name, rank in ranks.items() if rank and name in adapter.factors}
    factors = {
        name: (adapter.factors[name][0][:, :rank].clone(), adapter.factors[name][1][:rank].clone())
        for name, rank in kept.items()
    }
    return replace(
        adapter,
        targets={name: adapter.targets[name] for name in kept},
        factors=factors,
        scales={name: adapter.scales[name] for name in kept},
    )
