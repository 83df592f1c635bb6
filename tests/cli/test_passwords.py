"""A study on PostgreSQL by the real command line: its password shows up nowhere."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from autolora.cli.address import given
from autolora.errors import StorageFile
from tests.cli.conftest import COMMAND, TINY
from tests.postgres import Server, name_of

TWO_PROCESSES = {**TINY, "backend": {"name": "process", "workers": 2}}


@pytest.fixture
def fresh(postgres: Server) -> Iterator[str]:
    address = postgres.fresh()
    yield address
    postgres.drop(address)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "digits.yaml"
    file.write_text(yaml.safe_dump(TWO_PROCESSES))
    return file


def command_lines() -> str:
    """What everybody on this machine can read of every process."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return "\n".join(lines)


def told(words: list[str], folder: Path, **variables: str) -> tuple[str, str]:
    """What a command printed, and every command line there was while it ran."""
    seen: list[str] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            seen.append(command_lines())

    looking = threading.Thread(target=look)
    looking.start()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "AUTOLORA_SPOOL": str(folder / "spool")}
    try:
        ran = subprocess.run(
            [COMMAND, *words],
            check=False,
            cwd=folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=500,
        )
    finally:
        ended.set()
        looking.join()
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr, "\n".join(seen)


def written(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.slow
@pytest.mark.postgres
def test_a_password_shows_up_nowhere(
    tmp_path: Path, digits_file: Path, study: Path, fresh: str, postgres: Server
) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-address"
    secret.write_text(fresh)
    secret.chmod(0o600)
    variables = {"AUTOLORA_STORAGE_FILE": str(secret)}
    printed, lines = told(["search", str(study), "--json"], tmp_path, **variables)
    assert "autolora.backends.process" in lines, "the workers were not seen"
    for words in (["trials", "digits"], ["db", "check"], ["report", "digits"], ["doctor"]):
        more, others = told(words, tmp_path, **variables)
        printed, lines = printed + more, lines + others
    assert json.loads(printed.partition("\n}\n")[0] + "}")["files"]
    assert postgres.password not in printed
    assert postgres.password not in lines
    files = written(tmp_path)
    assert any(name.endswith("report.html") for name in files)
    assert [name for name, content in files.items() if postgres.password.encode() in content] == []
    dump = postgres.dump(fresh)
    assert "autolora_trials" in dump
    assert postgres.password not in dump


@pytest.mark.postgres
def test_libpq_s_own_places_of_a_password_are_used(
    tmp_path: Path, fresh: str, postgres: Server
) -> None:
    from autolora.study.storage import open_storage

    open_storage(fresh).close()
    bare = postgres.address(name_of(fresh), told=False)
    pgpass = tmp_path / "pgpass"
    pgpass.write_text(f"127.0.0.1:{postgres.port}:*:*:{postgres.password}\n")
    pgpass.chmod(0o600)
    for variables in ({"PGPASSWORD": postgres.password}, {"PGPASSFILE": str(pgpass)}):
        printed, lines = told(["db", "check", "--storage", bare], tmp_path, **variables)
        assert "needed" in printed
        assert postgres.password not in printed + lines


def test_a_password_in_the_command_is_warned_of_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql+psycopg://ada:canary-1@host/studies"
    monkeypatch.setattr("sys.argv", ["autolora", "trials", f"--storage={address}"])
    assert given(address) == address
    warned = capsys.readouterr().err
    assert warned.count("\n") == 1
    assert "PGPASSWORD" in warned
    assert "canary" not in warned
    monkeypatch.setattr("sys.argv", ["autolora", "trials"])
    assert given(address) == address  # it came from the environment
    assert capsys.readouterr().err == ""


def test_a_file_holds_the_address_if_nobody_else_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "address"
    monkeypatch.setenv("AUTOLORA_STORAGE_FILE", str(file))
    with pytest.raises(StorageFile, match="No such file"):
        given(None)
    file.write_text("sqlite:///a.db\n")
    file.chmod(0o640)
    with pytest.raises(StorageFile, match="mode 0640"):
        given(None)
    file.chmod(0o600)
    assert given(None) == "sqlite:///a.db"
    assert given("sqlite:///b.db") == "sqlite:///b.db"
    file.write_text("\n")
    with pytest.raises(StorageFile, match="it is empty"):
        given(None)


@pytest.mark.postgres
def test_what_a_server_refuses_is_told_without_the_password(
    tmp_path: Path, fresh: str, postgres: Server
) -> None:
    """Neither a missing database nor a wrong password is a reason to say it."""
    wrong = fresh.replace(postgres.password, f"wrong-{postgres.password}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "AUTOLORA_STORAGE_PATIENCE": "0"}
    for address in (f"{fresh}_none", wrong):
        ran = subprocess.run(
            [COMMAND, "trials", "digits"],
            check=False,
            cwd=tmp_path,
            env={**environment, "AUTOLORA_STORAGE": address},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 3, ran.stderr
        assert "127.0.0.1" in ran.stderr
        assert postgres.password not in ran.stdout + ran.stderr
