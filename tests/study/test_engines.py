"""What a connection to a server is told, seen from the server."""

import pytest
from made import NAME, record
from sqlalchemy.engine import make_url

from autolora.errors import StorageFailed, StorageUrl
from autolora.study.engines import Wishes, bare, settings
from autolora.study.storage import open_storage
from autolora.study.store import Store
from tests.postgres import Server, name_of

ADDRESS = "postgresql+psycopg://ada@host/studies"


def test_wishes_come_from_the_address_then_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Wishes.of(make_url(ADDRESS)) == Wishes(3, 2, 60, pgbouncer=False)
    monkeypatch.setenv("AUTOLORA_POOL_SIZE", "7")
    monkeypatch.setenv("AUTOLORA_STATEMENT_TIMEOUT", "90")
    url = make_url(f"{ADDRESS}?statement_timeout=5&sslmode=require")
    assert Wishes.of(url) == Wishes(7, 2, 5, pgbouncer=False)
    assert bare(url).query == {"sslmode": "require"}
    assert settings(url)["pool_size"] == 7
    monkeypatch.setenv("AUTOLORA_POOL_SIZE", "many")
    with pytest.raises(StorageUrl, match="pool_size must be a whole number"):
        settings(url)


def test_an_option_of_libpq_keeps_its_meaning() -> None:
    url = make_url(f"{ADDRESS}?options=-c%20work_mem%3D8MB")
    assert (
        settings(url)["connect_args"]["options"]
        == "-c statement_timeout=60s -c idle_in_transaction_session_timeout=20s -c work_mem=8MB"
    )


def test_behind_pgbouncer_nothing_is_kept_on_a_connection() -> None:
    arguments = settings(make_url(f"{ADDRESS}?pgbouncer=1"))["connect_args"]
    assert arguments["prepare_threshold"] is None
    assert "options" not in arguments


@pytest.mark.postgres
def test_the_server_sees_a_name_and_limits(postgres: Server) -> None:
    address = postgres.fresh()
    storage = open_storage(f"{address}?statement_timeout=7&options=-c%20work_mem%3D8MB")
    with storage.engine.connect() as connection:
        for setting, value in (
            ("statement_timeout", "7s"),
            ("application_name", "autolora"),
            ("work_mem", "8MB"),
            ("tcp_keepalives_idle", None),
        ):
            shown = connection.exec_driver_sql(f"SHOW {setting}").scalar()
            assert shown == value if value else shown is not None
    storage.close()
    postgres.drop(address)


@pytest.mark.postgres
def test_our_tables_lie_in_a_schema_of_their_own(postgres: Server) -> None:
    address = postgres.fresh()
    storage = open_storage(address)
    Store(storage, NAME).create(record())
    storage.close()
    with postgres.connected(name_of(address)) as connection:
        rows = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'autolora')"
        ).fetchall()
    theirs = {name for place, name in rows if place == "public"}
    ours = {name for place, name in rows if place == "autolora"}
    assert {"studies", "trials", "alembic_version"} <= theirs
    assert {"autolora_studies", "autolora_trials", "autolora_alembic_version"} <= ours
    assert all(name.startswith("autolora_") for name in ours)
    postgres.drop(address)


@pytest.mark.postgres
def test_a_user_who_may_not_create_tables_is_told_so(postgres: Server) -> None:
    address = postgres.fresh()
    with postgres.connected(name_of(address)) as connection:
        connection.execute("DROP ROLE IF EXISTS visitor")
        connection.execute("CREATE ROLE visitor LOGIN PASSWORD 'canary-8d'")
    visitor = address.replace("autolora:", "visitor:").replace(postgres.password, "canary-8d")
    with pytest.raises(StorageFailed, match="refuses this user") as caught:
        open_storage(visitor)
    assert "canary" not in str(caught.value)
    postgres.drop(address)
