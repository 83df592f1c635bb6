"""A search space over the targets of one model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autolora.errors import BudgetTooSmall, NothingToSearch, TooManyNumbers
from autolora.lora.allocation import Allocation
from autolora.lora.targets import Target
from autolora.space.proposal import Proposal

MOST_NUMBERS = 24
_RANK, _RATE, _SCALE = "rank.", "learning_rate", "scale"
Codes = dict[str, int]


@dataclass(frozen=True)
class Space:
    """What a search may choose, and what its choice means.

    The rank of a tied group is searched as an integer code: 0 leaves its targets out, k stands
    for rank 2ᵏ⁻¹. Codes are ordered and can be extended, which lists of choices cannot.
    """

    targets: tuple[Target, ...]
    groups: Mapping[str, tuple[str, ...]]
    distributions: dict[str, BaseDistribution]
    scales: tuple[tuple[str, float], ...]

    @classmethod
    def of(
        cls,
        targets: Sequence[Target],
        groups: Mapping[str, Sequence[Target]],
        ranks: Mapping[str, Sequence[int]],
        learning_rate: tuple[float, float],
        scales: Sequence[tuple[str, float]],
    ) -> "Space":
        """A space over those targets that tied groups hold, in the order of the model.

        Raises:
            NothingToSearch: if no group has a target.
            TooManyNumbers: if more than 24 numbers would be searched.
        """
        if not groups:
            raise NothingToSearch
        domains: dict[str, BaseDistribution] = {
            f"{_RANK}{name}": IntDistribution(_code(min(ranks[name])), _code(max(ranks[name])))
            for name in groups
        }
        domains[_RATE] = FloatDistribution(*learning_rate, log=True)
        if len(scales) > 1:
            domains[_SCALE] = CategoricalDistribution([_label(scale) for scale in scales])
        if len(domains) > MOST_NUMBERS:
            raise TooManyNumbers(len(domains), MOST_NUMBERS, groups)
        names = {name: tuple(t.name for t in tied) for name, tied in groups.items()}
        held = {name for tied in names.values() for name in tied}
        return cls(tuple(t for t in targets if t.name in held), names, domains, tuple(scales))

    def proposal(self, params: Mapping[str, Any], budget_parameters: int | None = None) -> Proposal:
        """What a configuration means; over budget, ranks are lowered until it holds.

        The rule: of the groups at the highest rank, the one that frees the most parameters is
        lowered by one step, again and again. It keeps the profile that was asked for, and gives
        the same allocation for the same configuration (docs/decisions/0005).

        Raises:
            BudgetTooSmall: if no allocation of the space keeps the budget.
        """
        codes = {group: int(params[_RANK + group]) for group in self.groups}
        if budget_parameters is not None:
            codes = self._lowered(codes, budget_parameters)
        labels = {_label(scale): scale for scale in self.scales}
        rule, value = labels[params[_SCALE]] if _SCALE in params else self.scales[0]
        return Proposal(self._allocation(codes), float(params[_RATE]), rule, value)

    def fixed(self, allocation: Allocation, learning_rate: float) -> Proposal:
        """A proposal with an allocation of its own and the first scale of the space."""
        return Proposal(allocation, learning_rate, *self.scales[0])

    def uniform(self, rank: int) -> Allocation:
        """The same rank at every target, or the highest that a smaller matrix can have."""
        return Allocation.uniform(self.targets, rank)

    @property
    def most_ranks(self) -> dict[str, int]:
        """The highest rank that each target is offered."""
        return {n: _rank(self._domain(g).high) for g, names in self.groups.items() for n in names}

    def encode(self, allocation: Allocation, learning_rate: float) -> dict[str, Any] | None:
        """The configuration that means an allocation; None if the space cannot express it."""
        params: dict[str, Any] = {_RATE: learning_rate}
        for group, names in self.groups.items():
            ranks = {allocation.get(name, 0) for name in names}
            rank = ranks.pop()
            domain = self._domain(group)
            if ranks or rank & (rank - 1) or not domain.low <= _code(rank) <= domain.high:
                return None
            params[_RANK + group] = _code(rank)
        if _SCALE in self.distributions:
            params[_SCALE] = _label(self.scales[0])
        return params

    def check_budget(self, budget_parameters: int | None) -> None:
        """Makes sure that some allocation keeps the budget.

        Raises:
            BudgetTooSmall: if none does.
        """
        smallest = self._parameters({group: self._domain(group).low for group in self.groups})
        if budget_parameters is not None and smallest > budget_parameters:
            raise BudgetTooSmall(budget_parameters, smallest)

    def _lowered(self, codes: Codes, budget: int) -> Codes:
        self.check_budget(budget)
        codes = dict(codes)
        while self._parameters(codes) > budget:
            open_groups = [g for g, code in codes.items() if code > self._domain(g).low]
            highest = max(codes[group] for group in open_groups)
            group = max(
                (g for g in open_groups if codes[g] == highest),
                key=lambda g: self._costs[g],
            )
            codes[group] -= 1
        return codes

    def _allocation(self, codes: Codes) -> Allocation:
        return Allocation({n: _rank(codes[g]) for g, names in self.groups.items() for n in names})

    def _parameters(self, codes: Codes) -> int:
        return sum(_rank(code) * self._costs[group] for group, code in codes.items())

    @property
    def _costs(self) -> dict[str, int]:
        """Parameters that one rank costs in each group."""
        cost = {target.name: target.cost for target in self.targets}
        return {group: sum(cost[name] for name in names) for group, names in self.groups.items()}

    def _domain(self, group: str) -> IntDistribution:
        domain = self.distributions[_RANK + group]
        assert isinstance(domain, IntDistribution)
        return domain


def _code(rank: int) -> int:
    """0 for 0, k for rank 2ᵏ⁻¹."""
    return rank.bit_length()


def _rank(code: int) -> int:
    return 1 << (code - 1) if code else 0


def _label(scale: tuple[str, float]) -> str:
    return f"{scale[0]} {scale[1]!r}"
