"""What a running study says: its arms, workers, training."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autolora.errors.database import StorageFailed
from autolora.errors.kinds import AutoloraError, StorageUnavailable, UsageError, listed


class NoSuchArm(UsageError):
    """An arm that has no result."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f'no arm "{name}" with a result; there are {listed(known)}')


class NoFront(UsageError):
    """A size that is asked of a study that trained one size alone."""

    def __init__(self) -> None:
        super().__init__(
            "the study holds no front, so --parameters cannot choose among sizes; the strategy "
            "pareto finds one, and `autolora resize` makes an adapter smaller without training"
        )


class NoSuchSize(UsageError):
    """Fewer parameters than the smallest adapter of a front has."""

    def __init__(self, parameters: int, known: Iterable[int]) -> None:
        there = ", ".join(f"{each:,}" for each in known)
        super().__init__(
            f"no adapter of the front has at most {parameters:,} parameters; there are {there}"
        )


class SamplerCannot(UsageError):
    """A space that a sampler cannot search."""

    def __init__(self, sampler: str, reason: str) -> None:
        super().__init__(
            f"the sampler {sampler} cannot search this space: {reason}; "
            "narrow the space or take the sampler tpe"
        )


class WorkerFailed(AutoloraError):
    """A worker process ended without a word."""

    def __init__(self, code: int, last_words: str) -> None:
        said = last_words.strip() or "it said nothing"
        super().__init__(
            f"a worker process ended with exit code {code}; the same command goes on where it "
            f"stopped. Its last words:\n{said}"
        )


class Diverged(AutoloraError):
    """A loss that is no number any more."""

    def __init__(self, what: str, step: int, learning_rate: float) -> None:
        super().__init__(
            f"the {what} loss is no finite number at step {step} (learning rate "
            f"{learning_rate:.3g}); lower the learning rate or the scale"
        )
        self.step = step


class NoRateConverged(AutoloraError):
    """Every learning rate that was tried diverged."""

    def __init__(self, rates: Iterable[float]) -> None:
        tried = ", ".join(f"{rate:.3g}" for rate in rates)
        super().__init__(
            f"every learning rate diverged ({tried}); lower training.learning_rate of the space"
        )


class AllowanceTooSmall(UsageError):
    """A budget of compute that does not hold what a strategy needs."""

    def __init__(self, strategy: str, fine_tunes: float, least: float) -> None:
        super().__init__(
            f"the strategy {strategy} needs at least {least:.2f} fine-tunes (FT), the budget has "
            f"{fine_tunes:.2f}; raise budget.ft, or take the strategy uniform"
        )


class SizeOutside(UsageError):
    """A size of adapter that a front cannot hold."""

    def __init__(self, parameters: int, least: int, most: int) -> None:
        super().__init__(
            f"the strategy pareto is asked for an adapter of {parameters:,} parameters; it can "
            f"have {least:,} (the smallest one with a rank) to {most:,} (the budget of the "
            "study); change its fractions or parameters, or the study's budget"
        )


class OutOfMemory(AutoloraError):
    """A batch that does not fit; `parts` and `ledger` tell how it was divided, what it cost."""

    def __init__(self, batch_size: int, parts: int, reason: str, ledger: Any) -> None:
        super().__init__(
            f"a batch of {batch_size} examples in {parts} part(s) does not fit into memory "
            f"({reason}); lower training.batch_size or raise training.accumulate"
        )
        self.parts = parts
        self.ledger = ledger


class EvaluatesNothing(UsageError):
    """A metric that an evaluation does not give."""

    def __init__(self, metric: str, known: Iterable[str]) -> None:
        super().__init__(
            f'the evaluation gives no "{metric}"; it gives {listed(known)}: name one of them as '
            "metric"
        )


class NoFeatures(UsageError):
    """A probe whose features cannot be kept."""

    def __init__(self, reasons: str) -> None:
        super().__init__(
            "head_start: probe needs the features below the head, which cannot be kept "
            f"({reasons}); write head_start: random"
        )


class NoDevice(UsageError):
    """A device that this machine or this torch does not have."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f'there is no device "{device}" here; write cpu, cuda or cuda:N for a GPU that '
            "torch sees, or auto"
        )


class OtherPath(AutoloraError):
    """A model that does not do the same with every batch in its frozen part."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"{module} lies below all that is trained and its activations were kept, but the model "
            "now uses it in another way than when they were recorded; switch the frozen-prefix "
            "cache off for this model"
        )


class StorageAway(StorageFailed):
    """A database that does not answer now, and may do so again: a restart, a lock, a network."""


class TurnLost(StorageAway):
    """A process that was gone for so long, in its turn on a database, that another one has it."""

    def __init__(self) -> None:
        super().__init__(
            "the database",
            "this process was frozen while it kept others waiting, and lost its turn",
            "nothing of that was written; run the same command again and it goes on",
        )


class TakenAway(AutoloraError):
    """A trial that is no longer this worker's: its lease ran out, or somebody released it."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"trial {number} was taken from this worker meanwhile; it is repeated elsewhere, and "
            "what this worker still finds is ignored. If workers are often frozen for long, raise "
            "backend.lease_seconds"
        )


class SpoolFailed(StorageUnavailable):
    """The folder of results that wait cannot be read or written."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"the results that wait in {folder} cannot be read or written: {why}; free space there "
            "or make it yours, then call autolora deliver again"
        )


class SpoolNewer(StorageUnavailable):
    """Results that wait and that a later version of autolora wrote."""

    def __init__(self, path: Path, count: int) -> None:
        super().__init__(
            f"{count} result(s) in {path} were written by a newer autolora than this one; they "
            "stay there. Upgrade with: pip install -U autolora, then run: autolora deliver"
        )


class SpoolUnknown(UsageError):
    """Results that wait for a database whose address is not known in full."""

    def __init__(self, where: str, count: int) -> None:
        super().__init__(
            f"{count} result(s) wait for {where}, whose address was kept without its password; "
            "name it with: autolora deliver --storage URL"
        )
