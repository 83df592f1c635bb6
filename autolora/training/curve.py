"""What a training run reports while it runs, and what it cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation on the validation split during training; losses in nats."""

    step: int
    train_loss: float
    valid_loss: float
    learning_rate: float


@dataclass(frozen=True)
class Ledger:
    """What a run cost.

    Units: `example_passes` counts a forward as 1 and a backward as 1 for each example, so a
    training example costs 2 and an evaluated one 1; peak memory is of the whole process.
    """

    example_passes: int
    seconds: float
    peak_bytes: int

    def __add__(self, other: "Ledger") -> "Ledger":
        """What two runs cost, one after the other."""
        return Ledger(
            self.example_passes + other.example_passes,
            self.seconds + other.seconds,
            max(self.peak_bytes, other.peak_bytes),
        )
