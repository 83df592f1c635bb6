"""Optuna's dashboard as a web server: on this machine, read-only, unless asked otherwise."""

import errno
import json
import os
import socket
import sys
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from autolora.errors import CannotServe, MissingExtra, TokenNeeded
from autolora.plots.guard import Application, guarded, is_loopback

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def serve(  # noqa: PLR0913 — those of `listen`, and how to say where
    storage: "BaseStorage",
    *,
    host: str,
    port: int,
    token: str | None,
    writable: bool,
    as_json: bool = False,
) -> None:
    """Serves the dashboard of a storage until it is interrupted; says where, as text or JSON.

    Raises:
        MissingExtra: if optuna-dashboard is not installed.
        TokenNeeded: if others than this machine could reach it and there is no token.
        CannotServe: if the port is taken or the host is not this machine's.
    """
    with listen(storage, host=host, port=port, token=token, writable=writable) as server:
        until_interrupted(server, "dashboard", address(server), as_json=as_json)


def until_interrupted(server: WSGIServer, what: str, where: str, *, as_json: bool) -> None:
    """Says where a server answers, and lets it until it is interrupted."""
    try:
        text = f"{what}: {where} (Ctrl-C ends it)"
        sys.stdout.write((json.dumps({what: where}) if as_json else text) + "\n")
        sys.stdout.flush()
        server.serve_forever()
    except KeyboardInterrupt:
        sys.stdout.write("\n")


def listen(
    storage: "BaseStorage", *, host: str, port: int, token: str | None, writable: bool
) -> WSGIServer:
    """A server that holds its port and waits for `serve_forever()`; port 0 takes a free one."""
    if not token and not is_loopback(host):
        raise TokenNeeded(host)
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise MissingExtra("the dashboard", "optuna-dashboard", "dashboard") from error
    app = guarded(wsgi(storage), token=token or None, writable=writable)
    return opened(app, host, port, "the dashboard")


def opened(app: Application, host: str, port: int, what: str) -> WSGIServer:
    """A server of an application that holds its port.

    Raises:
        CannotServe: if the port is taken or the host is not this machine's.
    """
    try:
        return make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        raise CannotServe(host, port, _reason(error), what) from error


def address(server: WSGIServer) -> str:
    """Where a server answers."""
    host, port = server.server_address[:2]
    name = host.decode() if isinstance(host, bytes) else str(host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def _reason(error: OSError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return "ports are 0 to 65535"
    if isinstance(error, socket.gaierror):
        return "no machine has that name"
    known = {
        errno.EADDRINUSE: "another program uses that port",
        errno.EACCES: "ports below 1024 are the administrator's",
        errno.EADDRNOTAVAIL: "that address is not this machine's",
    }
    return known.get(error.errno or 0) or os.strerror(error.errno or 0)


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a request, so that one slow reader does not hold the others up."""

    daemon_threads = True

    def __init__(self, place: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        # read by socketserver when it opens the socket
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        super().__init__(place, handler)

    def server_bind(self) -> None:
        """Binds without asking the network for this machine's name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing: an address may hold the token."""
