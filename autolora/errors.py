"""Every message a user can meet, written once.

Each says what is wrong, with the value; what would be right; and what to do next.
The class decides the exit code of the command line.
"""

from collections.abc import Iterable


class AutoloraError(Exception):
    """A run failed for a reason that one sentence can tell."""

    exit_code = 1

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


def _list(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)


# --- names ---------------------------------------------------------------------------------


class UnknownName(UsageError):
    """A case that no file of its folder holds."""

    def __init__(self, folder: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f'no {folder} called "{name}"; there are {_list(known)}')


# --- adapter core --------------------------------------------------------------------------


class NoSuchTarget(UsageError):
    """A target name or pattern that matches nothing in the model."""

    def __init__(self, pattern: str, nearest: Iterable[str]) -> None:
        near = _list(nearest) or "none that look alike"
        super().__init__(
            f'no target matches "{pattern}"; nearest: {near}. '
            "List them with: autolora targets MODEL"
        )


class RefusedTarget(UsageError):
    """A weight that cannot carry a delta as it is."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name} cannot be adapted: {reason}; {remedy}")


class RankTooHigh(UsageError):
    """A rank that the matrix cannot have."""

    def __init__(self, name: str, rank: int, rows: int, columns: int) -> None:
        super().__init__(
            f"rank {rank} at {name} exceeds what its {rows} × {columns} matrix can have; "
            f"ranks here are 0 to {min(rows, columns)}"
        )


class InPlaceEdit(AutoloraError):
    """Somebody edits an adapted weight in place, which would edit a temporary sum."""

    def __init__(self, attribute: str) -> None:
        super().__init__(
            f"`.{attribute}` of an adapted weight would change a temporary sum and be lost; "
            "change its base instead: layer.weight.base"
        )


class AdapterName(UsageError):
    """An adapter name that is not a plain word, is taken, or is not there."""


class NotAttached(UsageError):
    """The model carries no adapter where one is needed."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"the model carries no adapter to {action}; attach one with autolora.attach(model, …)"
        )


class DeadTargets(AutoloraError):
    """The self-check found adapted targets that the model does not use."""

    def __init__(self, without_gradient: Iterable[str], without_effect: Iterable[str]) -> None:
        found = [
            f"{what}: {_list(targets)}"
            for what, targets in (
                ("no gradient reaches", tuple(without_gradient)),
                ("the output does not change with", tuple(without_effect)),
            )
            if targets
        ]
        super().__init__(
            f"the adapter would train in vain: {'; '.join(found)}. "
            "Leave these targets out, or run the check with a batch that uses them"
        )


# --- artifacts -----------------------------------------------------------------------------


class OtherBase(UsageError):
    """An adapter meets a model that is not the base it was trained on."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            f"this model is not the base of the adapter: {difference}; "
            "load the base that the adapter's README names"
        )


class WrongShape(UsageError):
    """A matrix of another shape than the adapter's."""

    def __init__(self, name: str, mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
        super().__init__(
            f"{name} is {_size(theirs)} in this model and {_size(mine)} in the adapter; "
            "load the base that the adapter was trained on"
        )


class AdapterFile(UsageError):
    """A file that is no whole adapter."""

    def __init__(self, source: object, problem: str) -> None:
        super().__init__(f"{source} cannot be read as an adapter: {problem}; export it again")


class NoAdapter(UsageError):
    """A folder without an adapter."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} holds no adapter: neither adapter.json (autolora) nor adapter_config.json "
            "(PEFT) is there; export one with: autolora export STUDY --to FOLDER"
        )


class FolderTaken(UsageError):
    """A folder that holds something else than an earlier version of what is to be written."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} exists and holds something else; nothing was written. Choose a new folder"
        )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


# --- backends ------------------------------------------------------------------------------


class WorkerFailed(AutoloraError):
    """A worker process ended without a word."""

    def __init__(self, code: int, last_words: str) -> None:
        said = last_words.strip() or "it said nothing"
        super().__init__(
            f"a worker process ended with exit code {code}; the same command goes on where it "
            f"stopped. Its last words:\n{said}"
        )


# --- study database ------------------------------------------------------------------------


class StorageUrl(UsageError):
    """A storage address that is not understood.

    It is not repeated: it may hold a password, and what cannot be read cannot be masked.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the storage address cannot be used: {problem}; write sqlite:///folder/study.db "
            "or postgresql+psycopg://user:password@host/database"
        )


class MissingExtra(UsageError):
    """A library that only some users need is not installed."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {library}, which is not installed; "
            f"install it with: pip install 'autolora[{extra}]'"
        )


class StorageFailed(StorageUnavailable):
    """The database answers with an error: a full disk, a lost server, a damaged file."""

    def __init__(self, where: str, reason: str, remedy: str) -> None:
        super().__init__(f"{where}: {reason}; {remedy}")


class NoDatabase(StorageUnavailable):
    """Nothing was ever stored there."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} holds no study of autolora; name another with --storage, "
            "or start one with: autolora search STUDY.yaml"
        )


class UnusablePlace(StorageUnavailable):
    """A folder or file that cannot be read or written."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"{path} cannot hold a study: {reason}; nothing was written. "
            "Name another place with --storage"
        )


class NetworkFolder(StorageUnavailable):
    """A SQLite file on a network file system, where its locks do not hold."""

    def __init__(self, path: object, kind: str) -> None:
        super().__init__(
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold and "
            "files get damaged; use a local disk, or PostgreSQL for several machines"
        )


class NotADatabase(StorageUnavailable):
    """A file that SQLite did not write."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} is no SQLite database; nothing was written. Name another file with --storage"
        )


class ForeignDatabase(StorageUnavailable):
    """A database that belongs to another program."""

    def __init__(self, where: str, tables: Iterable[str]) -> None:
        super().__init__(
            f"{where} belongs to another program (tables {_list(tables)}); nothing was written. "
            "Name another database with --storage"
        )


class NewerDatabase(StorageUnavailable):
    """A database that a later version of autolora wrote."""

    def __init__(self, where: str, found: str, known: str) -> None:
        super().__init__(
            f"{where} was written by a newer autolora (schema {found}, this one knows {known}); "
            "nothing was written. Upgrade with: pip install -U autolora"
        )


class OtherOptuna(StorageUnavailable):
    """A database whose Optuna tables have another version than the Optuna installed."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"the tables of {where} are of another Optuna version than the one installed; "
            "run: optuna storage upgrade --storage URL, or install the Optuna that wrote them"
        )


class NoSuchStudy(UsageError):
    """A study name that the database does not hold."""

    def __init__(self, name: str, known: Iterable[str], where: str) -> None:
        there = _list(known) or "none yet"
        super().__init__(f'no study called "{name}" in {where}; nearest: {there}')


class OtherStudy(UsageError):
    """A name under which another study is stored already."""

    def __init__(self, name: str, key: str, stored: object, new: object) -> None:
        super().__init__(
            f'a study called "{name}" is stored with {key} = {stored!r}, this one has {new!r}; '
            "choose another name for it, or delete the stored one first"
        )


class NameTaken(UsageError):
    """A name that a study outside autolora uses in the same database."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'a study called "{name}" was made in this database by another program; '
            "choose another name, or another database with --storage"
        )
