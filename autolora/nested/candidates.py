"""Allocations that enter the race: uniform always, one kind alone, and what scores say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autolora.lora.targets import Target
from autolora.nested.knapsack import Gains, knapsack
from autolora.nested.truncated import Ranks

UNIFORM = "uniform"


@dataclass(frozen=True)
class Room:
    """What an allocation may be.

    Attributes:
        targets: All that may be adapted.
        most: The highest rank of each.
        budget: Parameters.
        multiple: Ranks are multiples of it.
        tied: Targets that share one rank; without any, each has its own.
        families: Targets by name of what they are, for placements of one alone.
    """

    targets: tuple[Target, ...]
    most: Mapping[str, int]
    budget: int
    multiple: int = 1
    tied: tuple[tuple[str, ...], ...] = ()
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def costs(self) -> dict[str, int]:
        """Parameters that one rank costs at each target."""
        return {target.name: target.cost for target in self.targets}

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The targets that share a rank, most of them alone."""
        return self.tied or tuple((target.name,) for target in self.targets)

    def parameters(self, ranks: Ranks) -> int:
        """How many parameters ranks take."""
        return sum(ranks.get(target.name, 0) * target.cost for target in self.targets)

    def best(self, gains: Gains) -> dict[str, int]:
        """The ranks of the highest gain within the budget; tied targets share theirs."""
        summed = {
            group[0]: [sum(level) for level in zip(*(gains[name] for name in group), strict=False)]
            for group in self.groups
        }
        price = {group[0]: self.price(group) for group in self.groups}
        found = knapsack(summed, price, self.budget, multiple=self.multiple)
        return {name: found[group[0]] for group in self.groups for name in group}

    def price(self, group: tuple[str, ...]) -> int:
        """Parameters that one rank costs in a group."""
        costs = self.costs
        return sum(costs[name] for name in group)

    def even(self, names: Iterable[str]) -> dict[str, int]:
        """The highest equal rank of some targets within the budget; smaller ones stop earlier."""
        chosen = [target.name for target in self.targets if target.name in set(names)]
        ranks = dict.fromkeys(chosen, 0)
        while True:
            more = {name: min(ranks[name] + self.multiple, self.most[name]) for name in chosen}
            if more == ranks or self.parameters(more) > self.budget:
                return ranks
            ranks = more


def placements(room: Room, families: Mapping[str, Sequence[str]]) -> dict[str, dict[str, int]]:
    """Each family of targets alone, and all but each: a name and its allocation.

    With one family there is nothing to choose. What whole rounds leave of the budget goes to the
    first targets that it fits.
    """
    if len(families) < 2:
        return {}
    found = {}
    for family, names in families.items():
        found[f"{family} only"] = _filled(room, names)
        rest = [name for other, names in families.items() if other != family for name in names]
        if len(families) > 2:
            found[f"all but {family}"] = _filled(room, rest)
    return {name: ranks for name, ranks in found.items() if any(ranks.values())}


def families(groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Targets by what a space calls them: `attention` holds those of attention.1, attention.2.

    >>> families({"mlp.1": ["a"], "mlp.2": ["b"], "attention": ["c"]})
    {'mlp': ('a', 'b'), 'attention': ('c',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for group, names in groups.items():
        family = group.partition(".")[0]
        found[family] = (*found.get(family, ()), *names)
    return found


def _filled(room: Room, names: Iterable[str]) -> dict[str, int]:
    ranks = room.even(names)
    for name in ranks:
        more = {**ranks, name: ranks[name] + room.multiple}
        if more[name] <= room.most[name] and room.parameters(more) <= room.budget:
            ranks = more
    return ranks
