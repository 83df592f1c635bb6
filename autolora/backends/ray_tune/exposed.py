"""Whether a Ray could be reached by others without a token. Nothing here imports Ray."""

import ipaddress
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PORTS_OF = ("dashboard.py", "gcs_server")


def exposed() -> str | None:
    """Where a Ray of ours listens beyond this machine and asks for no token; None if nowhere.

    Looks at the address of the cluster that this environment names, and at Ray's own processes of
    this user on this machine, those that listen beyond loopback.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if address and beyond(address) and not _asks(os.environ.get("RAY_AUTH_MODE")):
        return address
    return next(open_processes(Path("/proc")), None)


def refused(address: str) -> bool:
    """Whether an address may not be joined: it leads beyond this machine, without a token."""
    return beyond(address) and not _asks(os.environ.get("RAY_AUTH_MODE"))


def clusters_here(processes: Path) -> Iterator[str]:
    """The clusters that `auto` may mean: the last one joined here, and those with a node here."""
    latest = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    with suppress(OSError):
        if address := latest.read_text().strip():
            yield address
    for each in processes.glob("[0-9]*"):
        with suppress(OSError):
            words = (each / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0].endswith("raylet"):
                option = "--gcs-address="
                yield from (w.removeprefix(option) for w in words if w.startswith(option))


def beyond(address: str) -> bool:
    """Whether an address leads beyond this machine.

    >>> [beyond(a) for a in ("local", "auto", "127.0.0.1:6379", "[::1]:6379", "http://head:8265")]
    [False, False, False, False, True]
    """
    host = address.partition("://")[2] or address
    host = host.partition("/")[0]
    host = host[1 : host.index("]")] if host.startswith("[") else host.rpartition(":")[0] or host
    if host in ("", "local", "auto", "localhost"):
        return False
    with suppress(ValueError):
        return not ipaddress.ip_address(host).is_loopback
    return True


def _asks(mode: str | None) -> bool:
    return (mode or "").lower() == "token"


def open_processes(processes: Path) -> Iterator[str]:
    """Ray's dashboards and head servers that listen beyond loopback without asking for a token."""
    for each in processes.glob("[0-9]*"):
        with suppress(OSError):
            words = (each / "cmdline").read_bytes().decode(errors="replace").split("\0")
            host = _listens(words)
            if host is not None and beyond(host) and not _asks(_mode(each)):
                yield f"{host} (process {each.name})"


def _listens(words: list[str]) -> str | None:
    """The host that a process of Ray's listens on, as its command line says it."""
    if not any(word.endswith(_PORTS_OF) for word in words[:3]):
        return None
    for word in words:
        for option in ("--host=", "--node-ip-address="):
            if word.startswith(option):
                return word.removeprefix(option)
    return None


def _mode(process: Path) -> str | None:
    """How a process was told to authenticate; Ray's own processes inherit what was set."""
    for entry in (process / "environ").read_bytes().split(b"\0"):
        name, _, value = entry.decode(errors="replace").partition("=")
        if name == "RAY_AUTH_MODE":
            return value
    return None
