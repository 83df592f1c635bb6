"""An allocation gives every target a rank; rank 0 is absence."""

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from autolora.errors import NoSuchTarget, RankTooHigh, UsageError
from autolora.lora.targets import Target
from autolora.registry import nearest


class Allocation(Mapping[str, int]):
    """A frozen mapping from target names to ranks above 0; every other target has rank 0.

    >>> a = Allocation({"b.weight": 2, "a.weight": 1, "c.weight": 0})
    >>> a
    Allocation({'a.weight': 1, 'b.weight': 2})
    >>> Allocation.from_json(a.to_json()) == a
    True
    """

    def __init__(self, ranks: Mapping[str, int] | None = None) -> None:
        for name, rank in (ranks or {}).items():
            if isinstance(rank, bool) or not isinstance(rank, int) or rank < 0:
                raise UsageError(f"rank {rank!r} at {name} is no rank; ranks are integers from 0")
        self._ranks = MappingProxyType({n: r for n, r in sorted((ranks or {}).items()) if r > 0})

    @classmethod
    def uniform(cls, targets: Iterable[Target], rank: int) -> "Allocation":
        """The same rank everywhere, or the highest that a smaller matrix can have."""
        return cls({t.name: min(rank, t.max_rank) for t in targets})

    def parameters(self, targets: Iterable[Target]) -> int:
        """How many parameters the factors hold: Σ rank · (rows + columns).

        Raises:
            NoSuchTarget: if the allocation names a target that is not among `targets`.
            RankTooHigh: if a rank exceeds what its matrix can have.
        """
        by_name = self.checked(targets)
        return sum(rank * by_name[name].cost for name, rank in self.items())

    def checked(self, targets: Iterable[Target]) -> dict[str, Target]:
        """The targets by name, after a check that each name is known and each rank possible."""
        by_name = {target.name: target for target in targets}
        for name, rank in self.items():
            if name not in by_name:
                raise NoSuchTarget(name, nearest(name, by_name))
            if rank > by_name[name].max_rank:
                target = by_name[name]
                raise RankTooHigh(name, rank, target.rows, target.columns)
        return by_name

    def to_json(self) -> str:
        """One line of JSON, equal for equal allocations."""
        return json.dumps(dict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Allocation":
        """The allocation that `to_json` wrote."""
        return cls(json.loads(text))

    def __getitem__(self, name: str) -> int:
        return self._ranks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ranks)

    def __len__(self) -> int:
        return len(self._ranks)

    def __hash__(self) -> int:
        return hash(tuple(self._ranks.items()))

    def __repr__(self) -> str:
        return f"Allocation({dict(self._ranks)})"

    def __reduce__(self) -> tuple[type["Allocation"], tuple[dict[str, int]]]:
        return Allocation, (dict(self._ranks),)
