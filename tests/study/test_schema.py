from pathlib import Path

import optuna
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from made import NAME
from sqlalchemy import inspect

from autolora.study import schema
from autolora.study.records import PREFIX, metadata
from autolora.study.storage import open_storage
from autolora.study.store import Store


def test_the_migrations_make_the_tables_and_leave_optuna_s_alone(store: Store) -> None:
    with store.storage.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=schema.OPTIONS)
        assert compare_metadata(context, metadata) == []
        tables = inspect(connection).get_table_names()
        assert {t for t in metadata.tables if t in tables} == set(metadata.tables)
        theirs = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars()
        assert list(theirs) == [store.storage.optuna.get_head_version()]
        assert schema.revision(connection) == schema.head()


def test_the_comparison_sees_a_difference(store: Store) -> None:
    with store.storage.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE autolora_trials ADD COLUMN surplus INTEGER")
        context = MigrationContext.configure(connection, opts=schema.OPTIONS)
        assert [step[0] for step in compare_metadata(context, metadata)] == ["remove_column"]


def test_a_creation_that_was_killed_half_way_is_completed(address: str) -> None:
    storage = open_storage(address)
    with storage.engine.begin() as connection:
        for table in ("autolora_alembic_version", "autolora_trials", "trial_heartbeats"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    storage.close()
    again = open_storage(address)
    with again.engine.connect() as connection:
        tables = inspect(connection).get_table_names()
    assert {"autolora_trials", "trial_heartbeats"} <= set(tables)
    again.close()


def test_downgrading_drops_ours_only(store: Store, plain: optuna.storages.RDBStorage) -> None:
    from alembic import command

    with store.storage.engine.connect() as connection:
        command.downgrade(schema._config(connection), "base")
        connection.commit()
        left = {t for t in inspect(connection).get_table_names() if t.startswith(PREFIX)}
    assert left == {"autolora_alembic_version"}
    assert optuna.get_all_study_names(plain) == [NAME]


def test_the_migrations_ship_with_the_package() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    assert (folder / "env.py").exists()
    assert list((folder / "versions").glob("0001_*.py"))
