"""A PostgreSQL server for tests: started from Debian's binaries, with password authentication."""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USER = "autolora"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # The machine does not lose power in a test; only the process is killed.
    "fsync": "off",
    "log_min_messages": "fatal",
}
_ROOM_BYTES = 4 * 2**30
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def binaries() -> Path | None:
    """The folder of initdb, postgres and pg_dump; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda b: float(b.parent.name))
    if found:
        return found[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def account() -> str | None:
    """Whom the server runs as: PostgreSQL refuses root. None is this user; "" is nobody here."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), "")


def missing() -> str | None:
    """Why no server can be started here."""
    if binaries() is None:
        return "no PostgreSQL: apt-get install postgresql"
    return "no user to run PostgreSQL as" if account() == "" else None


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def name_of(address: str) -> str:
    """The database that an address names."""
    return address.rpartition("/")[2].partition("?")[0]


class Server:
    """A server with a data folder of its own; it ends with this process at the latest."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        # Of this server alone: other tests may show theirs on command lines meanwhile.
        self.password = f"canary-{secrets.token_hex(8)}"
        self._settings = {**_SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        bin_folder = binaries()
        assert bin_folder is not None
        self._bin = bin_folder
        if account():
            shutil.chown(folder, account())
        password = folder / "password"
        password.write_text(self.password)
        password.chmod(0o644)
        self._call("initdb", f"--pwfile={password}", "--auth=scram-sha-256", f"-U{USER}", "-N")
        password.unlink()
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        words = [f"-c{name}={value}" for name, value in self._settings.items()]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self.folder / "data", f"-p{self.port}", *words],
            user=account(),
            stdout=log,
            stderr=log,
            cwd=self.folder,
            start_new_session=True,
            preexec_fn=_dies_with_parent,  # noqa: PLW1509 — nothing there takes a lock
        )
        log.close()
        self._until_it_answers()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT ends every connection in order, SIGQUIT is a crash."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(60)
        self._process = None

    def restart(self, *, after: float = 0.0, how: signal.Signals = signal.SIGQUIT) -> None:
        self.stop(how)
        time.sleep(after)
        self.start()

    def terminate_all(self) -> int:
        """Ends every connection but this one; how many there were."""
        with self.connected() as connection:
            found = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchall()
        return len(found)

    def fresh(self) -> str:
        """The address of a new, empty database."""
        self._made += 1
        name = f"study_{self._made}"
        with self.connected() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def drop(self, address: str) -> None:
        """Takes a database away, whoever is connected to it."""
        with self.connected() as connection:
            connection.execute(f"DROP DATABASE {name_of(address)} WITH (FORCE)")

    def address(self, database: str, *, told: bool = True) -> str:
        """How a database is reached; without the password unless it is `told`."""
        secret = f":{self.password}" if told else ""
        return f"postgresql+psycopg://{USER}{secret}@127.0.0.1:{self.port}/{database}"

    def dump(self, address: str) -> str:
        """Everything that a database holds, as text."""
        words = ["-h127.0.0.1", f"-p{self.port}", f"-U{USER}", "--inserts", name_of(address)]
        return self._call("pg_dump", *words, env={**os.environ, "PGPASSWORD": self.password})

    @contextmanager
    def connected(self, database: str = "postgres") -> Iterator[Any]:
        import psycopg

        where = {"host": "127.0.0.1", "port": self.port, "dbname": database}
        with psycopg.connect(
            **where, user=USER, password=self.password, autocommit=True, connect_timeout=10
        ) as connection:
            yield connection

    def _until_it_answers(self) -> None:
        import psycopg

        for _ in range(600):
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            try:
                with self.connected():
                    return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise RuntimeError("PostgreSQL does not answer")

    def _call(self, program: str, *words: str, **options: Any) -> str:
        data = ["-D", str(self.folder / "data")] if program == "initdb" else []
        return subprocess.run(
            [self._bin / program, *data, *words],
            check=True,
            capture_output=True,
            text=True,
            user=account(),
            cwd=self.folder,
            **options,
        ).stdout


@contextmanager
def served(*, on_disk: bool = False, **settings: str) -> Iterator[Server]:
    """A server in a folder that others may enter; both are gone afterwards.

    In memory where there is such a place, unless it is to be `on_disk`.
    """
    memory = Path("/dev/shm")
    quick = not on_disk and memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix="autolora-postgres-", dir=memory if quick else None))
    folder.chmod(0o755)
    try:
        server = Server(folder, **settings)
        try:
            yield server
        finally:
            if server._process is not None:
                server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _dies_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGINT)
