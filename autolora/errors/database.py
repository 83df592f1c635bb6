"""What the database of studies says."""

from collections.abc import Iterable

from autolora.errors.kinds import StorageUnavailable, UsageError, listed


class StorageUrl(UsageError):
    """A storage address that is not understood.

    It is not repeated: it may hold a password, and what cannot be read cannot be masked.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the storage address cannot be used: {problem}; write sqlite:///folder/study.db "
            "or postgresql+psycopg://user:password@host/database"
        )


class StorageFile(UsageError):
    """A file that is to hold the storage address, and cannot."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(
            f"the file {path} that AUTOLORA_STORAGE_FILE names cannot be used: {problem}; it is to "
            "hold the storage address on one line, and only you may read it: chmod 600 FILE"
        )


class WhichDatabase(UsageError):
    """A command that needs a database and was told none."""

    def __init__(self) -> None:
        super().__init__(
            "no database is named; name it with --storage URL, or, for autolora db, a study that "
            "has its own with --study NAME"
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
            f"{where} belongs to another program (tables {listed(tables)}); nothing was written. "
            "Name another database with --storage"
        )


class NewerDatabase(StorageUnavailable):
    """A database that a later version of autolora wrote."""

    def __init__(self, where: str, found: str, known: str) -> None:
        super().__init__(
            f"{where} was written by a newer autolora (schema {found}, this one knows {known}); "
            "nothing was written. Upgrade with: pip install -U autolora"
        )


class OlderDatabase(StorageUnavailable):
    """A database that an earlier version of autolora wrote."""

    def __init__(self, where: str, found: str, known: str) -> None:
        super().__init__(
            f"{where} was written by an older autolora (schema {found}, this one needs {known}); "
            "nothing was written. End its workers, copy it, then run: "
            "autolora db upgrade --storage URL"
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
        there = listed(known) or "none yet"
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
