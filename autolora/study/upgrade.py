"""What wrote a stored database, and bringing our tables in it up to date."""

from dataclasses import dataclass

from optuna.storages import RDBStorage
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from autolora.errors import NoDatabase, OlderDatabase, OtherOptuna
from autolora.study import schema
from autolora.study.engines import probe
from autolora.study.faults import storage_errors
from autolora.study.location import (
    check_file,
    check_writable,
    read_only,
    read_url,
    shown,
    sqlite_path,
)
from autolora.study.turns import turn


@dataclass(frozen=True)
class Found:
    """Who wrote a database.

    Attributes:
        where: Its address, without passwords.
        schema: The revision of our tables; None if they were never completed.
        needed: The revision that this autolora writes.
        optuna: The version of Optuna that made its tables.
        optuna_schema: The revision of Optuna's tables.
        optuna_needed: The revision that the Optuna installed here writes.
    """

    where: str
    schema: str | None
    needed: str
    optuna: str
    optuna_schema: str
    optuna_needed: str

    def check(self) -> None:
        """Checks that a search can use the database as it is.

        Raises:
            OlderDatabase: if our tables must be upgraded first.
            OtherOptuna: if Optuna's tables must.
        """
        if self.schema != self.needed:
            raise OlderDatabase(self.where, str(self.schema), self.needed)
        if self.optuna_schema != self.optuna_needed:
            raise OtherOptuna(self.where)


def found(address: str) -> Found:
    """Looks at a database; nothing is changed.

    Raises:
        StorageUrl: if the address is no SQLite file or PostgreSQL server.
        StorageUnavailable: if there is no database of ours, or a newer autolora wrote it.
    """
    url = read_url(address)
    with storage_errors(url):
        opened = url
        if url.get_backend_name() == "sqlite":
            _check_there(url)
            opened = read_only(url)
        with probe(opened).connect() as connection:
            return _found(connection, shown(url))


def upgrade(address: str) -> tuple[str | None, str]:
    """Brings our tables to the newest revision; Optuna's are left alone.

    Returns:
        The revision before and after.

    Raises:
        StorageUrl: if the address is no SQLite file or PostgreSQL server.
        StorageUnavailable: if there is no database of ours, or a newer autolora wrote it.
    """
    url = read_url(address)
    with storage_errors(url):
        folder = None
        if url.get_backend_name() == "sqlite":
            _check_there(url)
            check_writable(sqlite_path(url))
            folder = sqlite_path(url).parent
        engine = probe(url)
        with turn(engine, folder), engine.connect() as connection:
            before = _found(connection, shown(url)).schema
            schema.upgrade(connection)
            connection.commit()
            return before, str(schema.revision(connection))


def _found(connection: Connection, where: str) -> Found:
    if schema.holds(connection, where) != "ours":
        raise NoDatabase(where)
    schema.check_revision(connection, where, older=True)
    return Found(
        where=where,
        schema=schema.revision(connection),
        needed=schema.head(),
        optuna=str(connection.scalar(text("SELECT library_version FROM version_info"))),
        optuna_schema=str(connection.scalar(text("SELECT version_num FROM alembic_version"))),
        optuna_needed=_optunas_head(),
    )


def _optunas_head() -> str:
    """Optuna tells its newest revision only to who has a database."""
    empty = RDBStorage("sqlite://", skip_compatibility_check=True)
    head = empty.get_head_version()
    empty.engine.dispose()
    return head


def _check_there(url: URL) -> None:
    check_file(sqlite_path(url))
    if not sqlite_path(url).exists():
        raise NoDatabase(shown(url))
