"""Opening the database of a study: Optuna's tables and ours, one address, one engine."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import Engine, event, select
from sqlalchemy.engine import URL

from autolora.errors import MissingExtra, NoDatabase, OtherOptuna
from autolora.errors.unsaid import keep_unsaid
from autolora.study import schema
from autolora.study.engines import bare, passing, probe, settings
from autolora.study.faults import storage_errors
from autolora.study.location import (
    check_file,
    check_writable,
    default_url,
    read_only,
    read_url,
    shown,
    sqlite_path,
)
from autolora.study.records import studies
from autolora.study.turns import creating, fence, turn

__all__ = ["Storage", "default_url", "open_storage", "storage_errors", "study_names"]


@dataclass(frozen=True)
class Storage:
    """An open database.

    `url` is what another process needs to open it too, and may hold a password; `where` is what
    messages may show.
    """

    url: str = field(repr=False)
    where: str
    optuna: RDBStorage = field(repr=False)

    @cached_property
    def engine(self) -> Engine:
        """The engine of our tables; it shares its connections with Optuna's."""
        return schema.engine(self.optuna.engine)

    def errors(self) -> AbstractContextManager[None]:
        """Tells a failing database, disk or server as one sentence: `with storage.errors(): …`."""
        return storage_errors(read_url(self.url))

    def turn(self) -> AbstractContextManager[None]:
        """One process at a time: `with storage.turn(): …`."""
        url = read_url(self.url)
        return turn(self.engine, sqlite_path(url) if _folder(url) else None)

    def close(self) -> None:
        """Closes the connections; the storage opens them again when it is used."""
        self.optuna.remove_session()
        self.engine.dispose()


def open_storage(address: str, *, create: bool = True) -> Storage:
    """Opens a database, for a search (`create`) or for looking at what is there.

    A search makes the folder, the file and the tables where they are missing. Otherwise the
    database must hold studies, and opening changes nothing; a file that cannot be written is
    opened for reading, also while a search runs.

    Raises:
        StorageUrl: if the address is no SQLite file or PostgreSQL server.
        StorageUnavailable: if it cannot be read or written, belongs to something else, or was
            written by an older or a newer autolora.
    """
    url = read_url(address)
    keep_unsaid()
    with storage_errors(url):
        if create:
            return _created(url)
        return _found(url)


def study_names(storage: Storage) -> tuple[str, ...]:
    """The studies that a database holds, oldest first."""
    with storage.errors(), storage.engine.connect() as connection:
        return tuple(connection.scalars(select(studies.c.name).order_by(studies.c.created)))


def _created(url: URL) -> Storage:
    folder = _folder(url)
    if folder is not None:
        check_file(sqlite_path(url))
        check_writable(sqlite_path(url))
    with creating(probe(url), folder), _removed_on_failure(url):
        if folder is None:
            _inspect(url, shown(url))
        elif sqlite_path(url).exists():
            _inspect(read_only(url), shown(url))
        if folder is not None:
            with probe(url).connect() as connection:
                # The mode stays in the file. Readers and one writer do not wait for each other.
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        _optunas(url, url, tables=True)
        with probe(url).connect() as connection:
            schema.upgrade(connection)
            connection.commit()
    return _connected(url, url)


def _found(url: URL) -> Storage:
    opened = url
    if _folder(url) is not None:
        path = sqlite_path(url)
        check_file(path)
        if not path.exists():
            raise NoDatabase(shown(url))
        opened = read_only(url)
    if _inspect(opened, shown(url)) != "ours":
        raise NoDatabase(shown(url))
    return _connected(url, url if _writable(url) else opened)


def _inspect(url: URL, where: str) -> str:
    with probe(url).connect() as connection:
        found = schema.holds(connection, where)
        if found == "ours":
            schema.check_revision(connection, where)
        return found


def _connected(url: URL, opened: URL) -> Storage:
    optuna = _optunas(url, opened)
    if opened.get_backend_name() == "sqlite":
        event.listen(optuna.engine, "connect", _synchronous_full)
        optuna.engine.dispose()
    fence(optuna.engine)
    return Storage(url.render_as_string(hide_password=False), shown(url), optuna)


def _optunas(url: URL, opened: URL, *, tables: bool = False) -> RDBStorage:
    """Optuna's storage; one that makes its `tables` keeps no connection, should it fail half way.

    Raises:
        MissingExtra: if the driver is not installed.
        OtherOptuna: if the tables are of another version.
    """
    text = bare(opened).render_as_string(hide_password=False)
    try:
        # Optuna fills a template in the address: braces of ours are to stay.
        made = RDBStorage(
            text.replace("{", "{{").replace("}", "}}"),
            engine_kwargs=passing(opened) if tables else settings(opened),
            skip_compatibility_check=True,  # it would leave the connection open: see below
            skip_table_creation=not tables,
        )
    except ImportError as error:
        raise MissingExtra("a PostgreSQL storage", "psycopg", "postgres") from error
    if made.get_current_version() != made.get_head_version():
        made.remove_session()
        made.engine.dispose()
        raise OtherOptuna(shown(url))
    return made


def _synchronous_full(connection: Any, record: object) -> None:
    """A commit is on the disk when it is answered: else a crash of the machine undoes more."""
    del record
    connection.execute("PRAGMA synchronous=FULL")


def _folder(url: URL) -> Path | None:
    return sqlite_path(url).parent if url.get_backend_name() == "sqlite" else None


def _writable(url: URL) -> bool:
    if _folder(url) is None:
        return True
    path = sqlite_path(url)
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


@contextmanager
def _removed_on_failure(url: URL) -> Iterator[None]:
    """A database that could not be made whole is not left behind as half a one."""
    fresh = _folder(url) is not None and not sqlite_path(url).exists()
    try:
        yield
    except BaseException:
        if fresh:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{sqlite_path(url)}{suffix}").unlink(missing_ok=True)
        raise
