"""How small an adapter should become: a rank, a budget of parameters, or a share of energy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from autolora.errors import NothingFits, NotOneSize, OutOfRange
from autolora.lora.factors import Spectrum, rank_for_energy, ranks_for_parameters


class Size(Protocol):
    """A rule that gives every target a rank from the spectra of all deltas."""

    def most(self, spectrum: Spectrum) -> int:
        """The highest rank that the target of a spectrum could get, whatever the others are."""

    def ranks(self, spectra: Mapping[str, Spectrum]) -> dict[str, int]:
        """The rank of every target; 0 is absence."""


@dataclass(frozen=True)
class Rank:
    """The same rank everywhere; a delta of a lower rank keeps its own."""

    value: int

    def most(self, spectrum: Spectrum) -> int:
        """The rank, or that of the delta."""
        return min(self.value, len(spectrum.values))

    def ranks(self, spectra: Mapping[str, Spectrum]) -> dict[str, int]:
        """The rank, or that of each delta."""
        return {name: self.most(spectrum) for name, spectrum in spectra.items()}


@dataclass(frozen=True)
class Energy:
    """At every target the lowest rank that keeps a share of its squared singular values."""

    share: float

    def most(self, spectrum: Spectrum) -> int:
        """The rank itself."""
        return rank_for_energy(spectrum, self.share)

    def ranks(self, spectra: Mapping[str, Spectrum]) -> dict[str, int]:
        """The ranks that keep the share."""
        return {name: self.most(spectrum) for name, spectrum in spectra.items()}


@dataclass(frozen=True)
class Parameters:
    """One budget for all targets together, for which their singular values compete."""

    budget: int

    def most(self, spectrum: Spectrum) -> int:
        """What the whole budget could buy."""
        return min(self.budget // spectrum.cost, len(spectrum.values))

    def ranks(self, spectra: Mapping[str, Spectrum]) -> dict[str, int]:
        """Those of the greedy rule.

        Raises:
            NothingFits: if the budget holds no rank of any target.
        """
        ranks = ranks_for_parameters(spectra, self.budget)
        costs = {name: s.cost for name, s in spectra.items() if len(s.values)}
        if costs and not any(ranks.values()):
            cheapest = min(costs, key=costs.__getitem__)
            raise NothingFits(self.budget, cheapest, costs[cheapest])
        return ranks


EVERYTHING = Energy(1.0)


def size(
    *, rank: int | None = None, parameters: int | None = None, energy: float | None = None
) -> Size:
    """The one rule that is given.

    Raises:
        NotOneSize: if none is given, or several are.
        OutOfRange: if its number cannot be.

    >>> size(energy=0.9)
    Energy(share=0.9)
    """
    said = {"rank": rank, "parameters": parameters, "energy": energy}
    given = [f"{what} {value}" for what, value in said.items() if value is not None]
    if len(given) != 1:
        raise NotOneSize(given)
    if energy is not None:
        if not 0 < energy <= 1:
            raise OutOfRange("energy", energy, "a share above 0, up to 1")
        return Energy(float(energy))
    if rank is not None:
        return Rank(_whole("rank", rank))
    assert parameters is not None
    return Parameters(_whole("parameters", parameters))


def _whole(what: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OutOfRange(what, value, "a whole number from 1")
    return value
