"""How we connect to each kind of database: time limits, pools, signs of life, and a name."""

import os
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from autolora.errors import MissingExtra, StorageUrl

SQLITE_PATIENCE_SECONDS = 60
TRANSACTION_SECONDS = 20  # after which the server ends a transaction of which it hears nothing
# What may follow the ? of a PostgreSQL address beside the options of libpq, and what it is without.
_OWN = {"pool_size": 3, "max_overflow": 2, "statement_timeout": 60, "pgbouncer": 0}
_VARIABLE = "AUTOLORA_{}"
# Keepalives notice a server that is gone within about a minute, also in the middle of a query.
_LIBPQ: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "autolora",
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


@dataclass(frozen=True)
class Wishes:
    """What an address asks for that libpq does not know.

    Attributes:
        pool_size: Connections that a process keeps.
        max_overflow: How many more it may open for a moment.
        statement_timeout: Seconds after which the server ends a statement; 0 is never.
        pgbouncer: Whether PgBouncer stands before the server, which hands a connection to somebody
            else after each transaction: nothing may be kept on it.
    """

    pool_size: int
    max_overflow: int
    statement_timeout: int
    pgbouncer: bool

    @classmethod
    def of(cls, url: URL) -> "Wishes":
        """The wishes of an address, else of the environment (`AUTOLORA_POOL_SIZE`, …).

        Raises:
            StorageUrl: if one is no number.
        """
        found = {name: _number(url, name, usual) for name, usual in _OWN.items()}
        return cls(**{**found, "pgbouncer": bool(found["pgbouncer"])})  # type: ignore[arg-type]


def settings(url: URL) -> dict[str, Any]:
    """What `create_engine` is told beside the address.

    Raises:
        StorageUrl: if an option of the address cannot be.
    """
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": SQLITE_PATIENCE_SECONDS}}
    wishes = Wishes.of(url)
    return {
        "pool_pre_ping": True,
        "pool_size": wishes.pool_size,
        "max_overflow": wishes.max_overflow,
        "connect_args": {**_LIBPQ, **_session(url, wishes)},
    }


def passing(url: URL) -> dict[str, Any]:
    """What `create_engine` is told for an engine that keeps no connection."""
    return {"poolclass": NullPool, "connect_args": settings(url)["connect_args"]}


def bare(url: URL) -> URL:
    """The address without the options that are ours."""
    return url.difference_update_query(_OWN)


def probe(url: URL) -> Engine:
    """An engine that keeps no connection.

    Raises:
        MissingExtra: if the driver is not installed.
    """
    try:
        return create_engine(bare(url), **passing(url))
    except ImportError as error:
        raise MissingExtra("a PostgreSQL storage", "psycopg", "postgres") from error


def _session(url: URL, wishes: Wishes) -> dict[str, Any]:
    if wishes.pgbouncer:
        # Neither prepared statements nor settings of a session outlive a transaction there.
        return {"prepare_threshold": None}
    given = url.query.get("options", "")
    # A process that is frozen in a transaction would keep what it locked from all others.
    idle = f"-c idle_in_transaction_session_timeout={TRANSACTION_SECONDS}s"
    limits = f"-c statement_timeout={wishes.statement_timeout}s {idle}"
    return {"options": f"{limits} {given if isinstance(given, str) else ' '.join(given)}".strip()}


def _number(url: URL, name: str, usual: int) -> int:
    variable = _VARIABLE.format(name.upper())
    text = url.query.get(name, os.environ.get(variable, str(usual)))
    if not (isinstance(text, str) and text.isdecimal()):
        raise StorageUrl(f"{name} must be a whole number, 0 or more")
    return int(text)
