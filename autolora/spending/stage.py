"""One line of an account: what a part of a strategy will cost, or did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A part of a strategy by name.

    Units: `example_passes` count a forward as 1 and a backward as 1 for each example, and a forward
    that gives again what was computed before by the part that it computed itself, rounded up; as an
    account they are the most that the stage may cost, as a ledger what it did cost. `seconds` are
    known in a ledger alone.
    """

    name: str
    example_passes: int
    seconds: float = 0.0
