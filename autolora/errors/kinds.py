"""The kinds of errors, which decide the exit code of the command line."""

from collections.abc import Iterable

from autolora.errors.secret import redacted


class AutoloraError(Exception):
    """A run failed for a reason that one sentence can tell."""

    exit_code = 1

    def __init__(self, *said: object) -> None:
        super().__init__(*(redacted(s) if isinstance(s, str) else s for s in said))

    @classmethod
    def with_code(cls, message: str, exit_code: int) -> "AutoloraError":
        """An error that another process raised, with its message and exit code."""
        error = cls(message)
        error.exit_code = exit_code
        return error


class UsageError(AutoloraError):
    """What the user wrote cannot be done: an option, a file, a name."""

    exit_code = 2


class StorageUnavailable(AutoloraError):
    """The database, the disk or the folder cannot be read or written."""

    exit_code = 3


class NoFeasibleTrial(AutoloraError):
    """The budget ended before any trial gave a result."""

    exit_code = 4

    @classmethod
    def of(cls, study: str, trials: int) -> "NoFeasibleTrial":
        """The sentence for a study."""
        return cls(
            f'study "{study}" has no trial with a result among its {trials}; '
            f"see why with: autolora trials {study}"
        )


def listed(values: Iterable[object]) -> str:
    """Values as a sentence names them."""
    return ", ".join(str(value) for value in values)


class UnknownName(UsageError):
    """A case that no file of its folder holds."""

    def __init__(self, folder: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f'no {folder} called "{name}"; there are {listed(known)}')
