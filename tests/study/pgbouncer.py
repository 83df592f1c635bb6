"""PgBouncer before a PostgreSQL server, in transaction mode, as docs/databases.md sets it up."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import USER, Server, _dies_with_parent, account, free_port, name_of

SERVER_CONNECTIONS = 8
_LIMITS = "SET statement_timeout = 60000; SET idle_in_transaction_session_timeout = 20000"
_INI = """
[databases]
* = host=127.0.0.1 port={server} connect_query='{limits}'

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = md5
auth_file = {folder}/users
pool_mode = transaction
max_client_conn = 1000
default_pool_size = {connections}
logfile = {folder}/log
pidfile = {folder}/pid
"""


def missing() -> str | None:
    """Why no PgBouncer can be started here."""
    return None if binary() else "no PgBouncer: apt-get install pgbouncer"


def binary() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def bounced(server: Server, address: str) -> Iterator[str]:
    """The address that reaches a database through PgBouncer."""
    program = binary()
    assert program
    folder = Path(tempfile.mkdtemp(prefix="autolora-pgbouncer-"))
    port = free_port()
    ini = folder / "pgbouncer.ini"
    given = {"server": server.port, "connections": SERVER_CONNECTIONS, "limits": _LIMITS}
    ini.write_text(_INI.format(port=port, folder=folder, **given))
    # PgBouncer needs the password itself to log in with SCRAM at the server.
    (folder / "users").write_text(f'"{USER}" "{server.password}"\n')
    for path in (folder, ini, folder / "users"):
        if account():
            shutil.chown(path, account())
    process = subprocess.Popen(
        [program, "-q", str(ini)],
        user=account(),
        preexec_fn=_dies_with_parent,  # noqa: PLW1509 — nothing there takes a lock
        start_new_session=True,
    )
    try:
        _until_it_listens(port)
        where = f"{USER}:{server.password}@127.0.0.1:{port}/{name_of(address)}"
        yield f"postgresql+psycopg://{where}?pgbouncer=1&pool_size=1&max_overflow=2"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(folder)


def _until_it_listens(port: int) -> None:
    for _ in range(200):
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("PgBouncer does not answer")
