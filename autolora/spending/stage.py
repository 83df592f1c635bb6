"""One line of an account: what a part of a strategy will cost, or did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A part of a strategy by name.

    Units: `example_passes` count a forward as 1 and a backward as 1 for each example; as an
    account they are the most that the stage may cost, as a ledger what it did cost. `seconds` are
    known in a ledger alone.
    """

    name: str
    example_passes: int
    seconds: float = 0.0
