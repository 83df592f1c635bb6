"""What a database holds, and bringing our tables in it up to date."""

from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect, text

from autolora.errors import ForeignDatabase, NewerDatabase, OlderDatabase
from autolora.study.records import PREFIX, VERSION_TABLE, metadata

SCHEMA = "autolora"  # where our tables lie on PostgreSQL; SQLite has no schemas
_OPTUNA = {
    "alembic_version",
    "studies",
    "study_directions",
    "study_system_attributes",
    "study_user_attributes",
    "trial_heartbeats",
    "trial_intermediate_values",
    "trial_params",
    "trial_system_attributes",
    "trial_user_attributes",
    "trial_values",
    "trials",
    "version_info",
}


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    del parents
    return kind != "table" or str(name).startswith(PREFIX)


# Without these, Alembic reads Optuna's version as ours, and proposes to drop Optuna's tables.
OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "version_table": VERSION_TABLE,
    "include_name": _is_ours,
}


def engine(optunas: Engine) -> Engine:
    """The engine of our tables, which lie in a schema of their own where there are schemas."""
    if optunas.dialect.name == "sqlite":
        return optunas
    return optunas.execution_options(schema_translate_map={None: SCHEMA})


def located(connection: Connection) -> None:
    """Until the end of a transaction, names without a schema are those of our tables first."""
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}, public"))


def holds(connection: Connection, where: str) -> Literal["nothing", "optuna", "ours"]:
    """What a database holds.

    Raises:
        ForeignDatabase: if it has tables, but neither Optuna's nor ours.
    """
    tables = set(_tables(connection))
    if VERSION_TABLE in tables:
        return "ours"
    if not tables:
        return "nothing"
    others = {name for name in tables - _OPTUNA if not name.startswith(PREFIX)}
    # Optuna's table is a mark beside tables of others; alone, it may be half of its creation.
    if {"studies", "version_info"} <= tables or ("studies" in tables and not others):
        return "optuna"
    raise ForeignDatabase(where, sorted(tables)[:3])


def check_revision(connection: Connection, where: str, *, older: bool = False) -> None:
    """Checks that this version of autolora knows the tables of a database.

    Raises:
        NewerDatabase: if a later version wrote them.
        OlderDatabase: if an earlier one did, unless it may be `older`.
    """
    found = revision(connection)
    try:
        ScriptDirectory.from_config(_config(connection)).get_revisions(found or "base")
    except CommandError as error:
        raise NewerDatabase(where, str(found), head()) from error
    if found not in (None, head()) and not older:
        raise OlderDatabase(where, str(found), head())


def revision(connection: Connection) -> str | None:
    """The revision of our tables in a database; None if they are not there."""
    located(connection)
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def head() -> str:
    """The revision that this version of autolora writes."""
    return str(ScriptDirectory.from_config(_config(None)).get_current_head())


def upgrade(connection: Connection) -> None:
    """Creates our tables, or brings them to the newest revision."""
    if connection.dialect.name != "sqlite":
        _moved(connection)
    located(connection)
    command.upgrade(_config(connection), "head")


def _moved(connection: Connection) -> None:
    """Makes our schema; tables that were made before there was one go there."""
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    for name in inspect(connection).get_table_names(schema="public"):
        if name.startswith(PREFIX):
            connection.execute(text(f"ALTER TABLE public.{name} SET SCHEMA {SCHEMA}"))


def _tables(connection: Connection) -> list[str]:
    located(connection)
    return list(inspect(connection).get_table_names())


def _config(connection: Connection | None) -> Config:
    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
