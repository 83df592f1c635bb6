import ctypes
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from made import DISTRIBUTIONS, NAME, adapter, filled, outcome, plan, record, sqlite_only

from autolora.errors import (
    AutoloraError,
    ForeignDatabase,
    NetworkFolder,
    NewerDatabase,
    NoDatabase,
    NotADatabase,
    OtherOptuna,
    StorageFailed,
    StorageUnavailable,
    StorageUrl,
    UnusablePlace,
)
from autolora.study import location
from autolora.study.storage import open_storage, study_names
from autolora.study.store import Store

ROOT = os.geteuid() == 0


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_search_makes_the_folder_and_a_database_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a b%20{x}" / "study.db"
    storage = open_storage(f"sqlite:///{path}".replace("%", "%25"))
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert path.exists()
    storage.close()
    found = open_storage(storage.url, create=False)
    assert found.where == f"sqlite:///{path}"
    found.close()


def test_looking_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoDatabase) as caught:
        open_storage(f"sqlite:///{tmp_path}/none/study.db", create=False)
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_plain_optuna_database_is_taken_up_by_a_search_only(
    address: str, plain: optuna.storages.RDBStorage
) -> None:
    theirs = optuna.create_study(study_name="theirs", storage=plain)
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    with pytest.raises(NoDatabase):
        open_storage(address, create=False)
    storage = open_storage(address)
    Store(storage, NAME).create(record())
    assert study_names(storage) == (NAME,)
    assert len(optuna.load_study(study_name="theirs", storage=plain).trials) == 2
    storage.close()


@pytest.mark.parametrize("create", [True, False])
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "firefox.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = content(tmp_path)
    with pytest.raises(ForeignDatabase, match="tables bookmarks"):
        open_storage(f"sqlite:///{path}", create=create)
    assert content(tmp_path) == before


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at")
    before = content(tmp_path)
    for place in (path, tmp_path):
        with pytest.raises(NotADatabase):
            open_storage(f"sqlite:///{place}", create=create)
    assert content(tmp_path) == before


@sqlite_only
def test_a_damaged_database_is_one_sentence(store: Store, address: str) -> None:
    store.storage.close()
    path = Path(address.removeprefix("sqlite:///"))
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    with pytest.raises(StorageFailed, match="the file is damaged"):
        open_storage(address, create=False)


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_schema_is_refused(store: Store, address: str, create: bool) -> None:
    with store.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE autolora_alembic_version SET version_num = '9999'")
    with pytest.raises(NewerDatabase, match="schema 9999, this one knows 0003"):
        open_storage(address, create=create)


def test_optuna_tables_of_another_version_are_refused(store: Store, address: str) -> None:
    with store.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE version_info SET schema_version = 99")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v99'")
    with pytest.raises(OtherOptuna):
        open_storage(address, create=False)


@pytest.mark.parametrize(
    "address",
    [
        "study.db",
        "mysql://root@host/x",
        "postgresql://root@host/x",
        "postgres://root@host/x",
        "postgresql+psycopg2://root@host/x",
        "postgresql+psycopg://root@host/x?pool_size=many",
        "postgresql+psycopg://root@host/x?statement_timeout=-1",
        "sqlite://",
        "sqlite:///:memory:",
        "://",
        "a://b:c:d@e:f/g",
    ],
)
def test_an_address_of_another_kind_is_a_usage_error(address: str) -> None:
    with pytest.raises(StorageUrl) as caught:
        open_storage(address)
    assert caught.value.exit_code == 2


def test_a_network_file_system_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = f"/dev/sda / ext4 rw 0 0\nsrv:/home {tmp_path} nfs4 rw 0 0\nsrv:/b /other cifs rw 0 0"
    assert location.network_file_system(tmp_path / "a" / "b.db", mounts) == "nfs4"
    assert location.network_file_system(Path("/var/b.db"), mounts) is None
    spaced = "srv:/x /my\\040runs fuse.sshfs rw 0 0"
    assert location.network_file_system(Path("/my runs/b.db"), spaced) == "fuse.sshfs"
    monkeypatch.setattr(location, "network_file_system", lambda path, text: "nfs4")
    with pytest.raises(NetworkFolder, match="nfs4"):
        open_storage(f"sqlite:///{tmp_path}/study.db")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_create_the_same_database(address: str) -> None:
    code = f"from autolora.study.storage import open_storage; open_storage({address!r})"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]


# Passwords ---------------------------------------------------------------------------------

SECRET = "canary-7f3a"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql+psycopg://ada:{SECRET}@127.0.0.1:1/studies",
        f"postgresql://ada:{SECRET}@127.0.0.1:1/studies?sslpassword={SECRET}",
        f"mysql://ada:{SECRET}@127.0.0.1:1/studies",
        f"host=127.0.0.1 password={SECRET}",
        f"postgresql://ada:{SECRET}@host:port/studies",
    ],
)
def test_no_message_shows_a_password(address: str) -> None:
    with pytest.raises(AutoloraError) as caught:
        open_storage(address, create=False)
    assert SECRET not in str(caught.value)
    if "psycopg://" in address:
        assert "autolora[postgres]" in str(caught.value) or "***" in str(caught.value)


def test_the_representation_of_a_storage_shows_no_address(store: Store) -> None:
    assert "url" not in repr(store.storage)


# Places that cannot be written: as root, permissions do not count, so file systems are mounted. --

MS_RDONLY, MS_REMOUNT = 1, 32


def made_read_only(disk: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"none", bytes(disk), b"tmpfs", MS_REMOUNT | MS_RDONLY, b"size=1m") == 0


def test_a_full_disk_leaves_nothing_behind(small_disk: Path) -> None:
    rest = filled(small_disk)
    with pytest.raises(StorageUnavailable, match="the disk is full") as caught:
        open_storage(f"sqlite:///{small_disk}/study.db")
    assert caught.value.exit_code == 3
    assert list(small_disk.iterdir()) == [rest]


def test_a_disk_that_fills_up_is_one_sentence_and_the_study_goes_on_afterwards(
    small_disk: Path,
) -> None:
    store = Store(open_storage(f"sqlite:///{small_disk}/study.db"), NAME)
    store.create(record())
    study = store.optuna_study(optuna.samplers.RandomSampler(seed=0))
    number = store.ask(study, DISTRIBUTIONS).number
    store.claim(number, plan("a"))
    rest = filled(small_disk)

    def many() -> None:
        for loss in range(200):
            following = store.ask(study, DISTRIBUTIONS).number
            store.claim(following, plan(str(loss)))
            store.finish(following, outcome(loss), adapter(3))

    with pytest.raises(StorageFailed, match="the disk is full; free some space"):
        many()
    assert len(store.results().trials) > 0
    rest.unlink()
    assert store.finish(number, outcome(-1.0), adapter(1))
    assert store.results().best == number
    store.storage.close()


def test_a_read_only_place_is_refused_by_a_search(small_disk: Path) -> None:
    made_read_only(small_disk)
    for path in (small_disk / "study.db", small_disk / "new" / "study.db"):
        with pytest.raises(UnusablePlace, match=r"read-only|Read-only"):
            open_storage(f"sqlite:///{path}")


def test_a_read_only_study_can_be_looked_at(small_disk: Path) -> None:
    storage = open_storage(f"sqlite:///{small_disk}/study.db")
    store = Store(storage, NAME)
    store.create(record())
    storage.close()
    made_read_only(small_disk)
    with pytest.raises(UnusablePlace):
        open_storage(storage.url)
    seen = Store(open_storage(storage.url, create=False), NAME)
    assert seen.results().name == NAME
    with pytest.raises(StorageFailed, match="cannot be written"):
        seen.ask(seen.optuna_study(), DISTRIBUTIONS)
    seen.storage.close()


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UnusablePlace):
        open_storage(f"sqlite:///{tmp_path}/study.db")
    tmp_path.chmod(0o700)


READS = """
import sys
from autolora.study.storage import open_storage, study_names

print(*study_names(open_storage(sys.argv[1], create=False)))
"""


def test_a_process_that_opens_it_twice_keeps_its_locks(tmp_path: Path) -> None:
    """A worker in the process of its study opens the database again, while others look at it."""
    first = open_storage(f"sqlite:///{tmp_path}/study.db")
    Store(first, NAME).create(record())
    second = open_storage(first.url, create=False)
    assert study_names(second) == study_names(first) == (NAME,)
    said = subprocess.run(
        [sys.executable, "-c", READS, first.url], check=True, capture_output=True, text=True
    )
    assert said.stdout.strip() == NAME
    assert (tmp_path / "study.db-wal").exists(), "the last to close takes the log away"
    assert Store(first, NAME).results().name == NAME
    third = open_storage(first.url, create=False)
    assert study_names(third) == (NAME,)
    for storage in (first, second, third):
        storage.close()
