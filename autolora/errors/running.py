"""What a running study says: its arms, workers, training."""

from collections.abc import Iterable

from autolora.errors.kinds import AutoloraError, UsageError, listed


class NoSuchArm(UsageError):
    """An arm that has no result."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f'no arm "{name}" with a result; there are {listed(known)}')


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


class NoDevice(UsageError):
    """A device that this machine or this torch does not have."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f'there is no device "{device}" here; write cpu, cuda or cuda:N for a GPU that '
            "torch sees, or auto"
        )
