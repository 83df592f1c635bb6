"""Tied groups: which targets share one searched rank."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autolora.errors import RankTooHigh
from autolora.lora.select import select
from autolora.lora.targets import Target

if TYPE_CHECKING:
    from autolora.space.spec import Group, SpaceSpec

Groups = dict[str, tuple[Target, ...]]
Ranks = dict[str, tuple[int, ...]]


def split(spec: "SpaceSpec", targets: Sequence[Target]) -> tuple[Groups, Ranks]:
    """The tied groups of a space by name, and the ranks that each may have."""
    left_out = select(targets, spec.exclude) if spec.exclude else ()
    free = [target for target in targets if target not in left_out]
    groups: Groups = {}
    ranks: Ranks = {}
    for group in spec.groups:
        offered = group.ranks or spec.ranks
        mine = select(targets, group.match, kinds=group.kinds, depths=group.depths)
        mine = tuple(target for target in mine if target in free)
        free = [target for target in free if target not in mine]
        for name, tied in _tied(group, mine).items():
            _check(tied, offered)
            groups[name], ranks[name] = tied, offered
    return groups, ranks


def _tied(group: "Group", targets: tuple[Target, ...]) -> Groups:
    if group.per == "group":
        return {group.name: targets} if targets else {}
    stages = _stages(targets, group.stages or 1)
    tied: Groups = {}
    for target in targets:
        of = {
            "kind": target.kind,
            "depth": target.depth,
            "stage": stages[target.depth],
            "layer": target.layer,
        }
        name = f"{group.name}.{of[group.per]}"
        tied[name] = (*tied.get(name, ()), target)
    return tied


def _stages(targets: tuple[Target, ...], count: int) -> dict[int, int]:
    """The stage, from 1, of each depth: the depths in order, in equal parts."""
    depths = sorted({target.depth for target in targets})
    return {depth: 1 + i * count // len(depths) for i, depth in enumerate(depths)}


def _check(targets: tuple[Target, ...], ranks: tuple[int, ...]) -> None:
    for target in targets:
        if max(ranks) > target.max_rank:
            raise RankTooHigh(target.name, max(ranks), target.rows, target.columns)
