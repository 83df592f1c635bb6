"""What time it is, by the one clock that all workers of a study share.

Clocks of hosts differ. Workers on several hosts share a server, whose clock it is; workers on one
SQLite file share a machine.
"""

import time

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    cast,
    extract,
    func,
    literal,
    select,
)


def now(at: Engine | Connection) -> ColumnElement[float]:
    """The time as an SQL expression, in seconds since 1970.

    It is that of the statement, not of its transaction, which may have waited for its turn.
    """
    if at.dialect.name == "sqlite":
        return literal(time.time(), Float)
    return cast(extract("epoch", func.clock_timestamp()), Float)


def up_since(at: Engine | Connection) -> ColumnElement[float]:
    """When the database began to answer; SQLite always did."""
    if at.dialect.name == "sqlite":
        return literal(0.0, Float)
    return cast(extract("epoch", func.pg_postmaster_start_time()), Float)


def read(connection: Connection) -> float:
    """The time as a number."""
    return float(connection.execute(select(now(connection))).scalar_one())
