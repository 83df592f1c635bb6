"""Which parts of a model carry an adaptation: shares of kinds, families and depths."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from autolora.artifacts.adapter import Adapter
from autolora.lora.factors import Spectrum, of_pair, rank_for_energy
from autolora.lora.targets import Target
from autolora.nested.candidates import families

_DEPTHS = 8  # rows of a table of depths; more depths are joined, as many to each row


@dataclass(frozen=True)
class Weighed:
    """One target of an adapter: what it takes and what it brings.

    Attributes:
        rank: What it has, 0 for a target left out.
        parameters: What that rank costs.
        values: The singular values of its delta, the largest first.
        enough: The lowest rank that keeps 90 % of the energy of the delta.
        gains: What each rank of the run at a high rank is worth, by its scores; empty without.
    """

    target: Target
    rank: int
    parameters: int
    values: tuple[float, ...] = ()
    enough: int = 0
    gains: tuple[float, ...] = ()

    @property
    def energy(self) -> float:
        """The sum of the squared singular values."""
        return sum(value**2 for value in self.values)

    @property
    def kept(self) -> float:
        """The gain of the ranks that it has."""
        return sum(self.gains[: self.rank])

    @property
    def cut(self) -> float:
        """The gain of the ranks that were cut."""
        return sum(self.gains[self.rank :])


@dataclass(frozen=True)
class Part:
    """Some targets together, with their shares of the whole.

    A share is None where the whole is nothing, or where there are no scores.
    """

    name: str
    targets: int
    adapted: int
    parameters: float | None
    energy: float | None
    gain: float | None


def weighed(
    targets: Sequence[Target],
    adapter: Adapter,
    gains: Mapping[str, Sequence[float]],
) -> tuple[Weighed, ...]:
    """Every target of a study, with what an adapter of it holds."""
    spectra = {
        name: of_pair(up, down, adapter.scales[name])
        for name, (up, down) in adapter.factors.items()
    }
    ranks = adapter.allocation
    return tuple(
        Weighed(
            target,
            ranks.get(target.name, 0),
            ranks.get(target.name, 0) * target.cost,
            *_spectrum(spectra.get(target.name)),
            tuple(gains.get(target.name, ())),
        )
        for target in targets
    )


def kinds(rows: Sequence[Weighed]) -> tuple[Part, ...]:
    """Shares by what a target is: a pointwise convolution, a query."""
    return _parts(rows, lambda row: row.target.kind)


def groups(rows: Sequence[Weighed], tied: Mapping[str, Sequence[str]]) -> tuple[Part, ...]:
    """Shares by what the search space calls its targets."""
    family = {name: key for key, names in families(tied).items() for name in names}
    return _parts(rows, lambda row: family.get(row.target.name, "in no group"))


def depths(rows: Sequence[Weighed]) -> tuple[Part, ...]:
    """Shares by depth in the model, from input to output; neighbours share a row."""
    names = depth_names([row.target.depth for row in rows])
    return _parts(
        sorted(rows, key=lambda row: row.target.depth), lambda row: names[row.target.depth]
    )


def depth_names(found: Sequence[int]) -> dict[int, str]:
    """What the row of each depth is called.

    >>> depth_names([0, 3, 3, 7])
    {0: '0', 3: '3', 7: '7'}
    >>> depth_names(range(9))[8], depth_names(range(16))[3]
    ('8', '2 to 3')
    """
    known = sorted(set(found))
    size = -(-len(known) // _DEPTHS)
    parts = [known[i : i + size] for i in range(0, len(known), size)]
    return {
        depth: str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}"
        for part in parts
        for depth in part
    }


def _parts(rows: Sequence[Weighed], called: Callable[[Weighed], str]) -> tuple[Part, ...]:
    totals = _sums(rows)
    of = {name: [row for row in rows if called(row) == name] for name in map(called, rows)}
    return tuple(
        Part(
            name,
            len(some),
            sum(row.rank > 0 for row in some),
            *(_share(own, all_) for own, all_ in zip(_sums(some), totals, strict=True)),
        )
        for name, some in of.items()
    )


def _sums(rows: Sequence[Weighed]) -> tuple[float, float, float]:
    return (
        float(sum(row.parameters for row in rows)),
        sum(row.energy for row in rows),
        sum(row.kept for row in rows),
    )


def _share(own: float, whole: float) -> float | None:
    return own / whole if whole > 0 else None


def _spectrum(found: Spectrum | None) -> tuple[tuple[float, ...], int]:
    if found is None:
        return (), 0
    return tuple(map(float, found.values)), rank_for_energy(found, 0.9)
