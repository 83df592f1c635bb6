"""Databases that earlier revisions wrote: upgraded, and their studies read as they were."""

import sqlite3
from pathlib import Path

import optuna
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from made import DISTRIBUTIONS, NAME, adapter, outcome, plan, record, sqlite_only

from autolora.errors import NewerDatabase, NoDatabase, OlderDatabase, OtherOptuna
from autolora.study import schema
from autolora.study.records import metadata
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.upgrade import found, upgrade
from tests.postgres import Server, name_of

STORED = Path(__file__).parents[1] / "assets" / "databases"


def restored(address: str, file: Path, server: Server | None = None) -> None:
    script = file.read_text()
    if server is None:
        with sqlite3.connect(address.removeprefix("sqlite:///")) as connection:
            connection.executescript(script)
        connection.close()
        return
    with server.connected(name_of(address)) as connection:
        connection.execute(script)


def check_upgraded(address: str, before: str) -> None:
    """The study of a stored database is as it was, and goes on."""
    for create in (True, False):
        with pytest.raises(OlderDatabase, match=f"schema {before}, this one needs"):
            open_storage(address, create=create)
    assert found(address).schema == before
    with pytest.raises(OlderDatabase):
        found(address).check()
    assert upgrade(address) == (before, schema.head())
    assert upgrade(address) == (schema.head(), schema.head())
    found(address).check()
    storage = open_storage(address)
    with storage.engine.connect() as connection:
        schema.located(connection)
        context = MigrationContext.configure(connection, opts=schema.OPTIONS)
        assert compare_metadata(context, metadata) == []
    store = Store(storage, NAME)
    rows = store.results().trials
    assert [(r.state, r.loss) for r in rows[:2]] == [("complete", 0.5), ("complete", 0.25)]
    assert [point.valid_loss for point in rows[1].curve] == [0.9, 0.25]
    assert store.adapter(1) is not None
    assert store.finals()[0].value == 0.9
    store.create(record())
    study = store.optuna_study(optuna.samplers.RandomSampler(seed=1))
    for _ in range(2):
        number = store.ask(study, DISTRIBUTIONS).number
        assert store.claim(number, plan(f"new {number}")).state == "new"
        assert store.finish(number, outcome(0.1), adapter(1))
    assert store.results().best == 3
    storage.close()


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_stored_sqlite_database_is_upgraded(tmp_path: Path, revision: str) -> None:
    address = f"sqlite:///{tmp_path}/study.db"
    restored(address, STORED / f"schema-{revision}.sqlite.sql")
    check_upgraded(address, revision)


@pytest.mark.postgres
def test_tables_that_lay_among_optuna_s_get_a_schema_of_their_own(postgres: Server) -> None:
    address = postgres.fresh()
    restored(address, STORED / "schema-0002.postgresql.sql", postgres)
    check_upgraded(address, "0002")
    with postgres.connected(name_of(address)) as connection:
        rows = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE tablename LIKE 'autolora%'"
        ).fetchall()
    assert {place for place, _ in rows} == {"autolora"}
    assert {name for _, name in rows} >= set(metadata.tables)


def test_every_revision_has_a_stored_database() -> None:
    revisions = {
        path.name[:4] for path in (Path(schema.__file__).parent / "migrations/versions").glob("0*")
    }
    stored = {path.name.split(".")[0][-4:] for path in STORED.glob("*.sqlite.sql")}
    assert stored == revisions - {schema.head()}


def test_a_newer_database_is_neither_checked_nor_upgraded(store: Store, address: str) -> None:
    with store.storage.engine.begin() as connection:
        schema.located(connection)
        connection.exec_driver_sql("UPDATE autolora_alembic_version SET version_num = '9999'")
    for function in (found, upgrade):
        with pytest.raises(NewerDatabase, match="schema 9999"):
            function(address)


def test_optuna_s_tables_are_its_own_to_upgrade(store: Store, address: str) -> None:
    with store.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    assert upgrade(address) == (schema.head(), schema.head())
    with pytest.raises(OtherOptuna, match="optuna storage upgrade"):
        found(address).check()


@sqlite_only
def test_what_is_not_there_is_not_made(address: str, plain: optuna.storages.RDBStorage) -> None:
    for function in (found, upgrade):
        with pytest.raises(NoDatabase):
            function(address)
        with pytest.raises(NoDatabase):
            function(address.replace("study.db", "none.db"))
    assert not Path(address.removeprefix("sqlite:///")).with_name("none.db").exists()
