"""Joining a cluster, or starting one on this machine for as long as it is needed."""

import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray

from autolora.backends import Place
from autolora.backends.ray_tune.exposed import clusters_here, refused
from autolora.errors import OneMachineOnly, RayClient, RayExposed, RayUnreachable

# Tune's own reports and files are not ours to show or to need.
_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_LOCAL = "local"


@contextmanager
def joined(place: Place) -> Iterator[None]:
    """Within this context, Ray is there; one that was initialised before is left as it is.

    Raises:
        RayExposed, RayClient, RayUnreachable, OneMachineOnly: if it cannot serve.
    """
    with _environment(_QUIET), _silent("ray.tune", "ray.train"):
        own = not ray.is_initialized()
        if own:
            _join(place)
        try:
            if place.one_host:
                _check_one_host()
            yield
        finally:
            if own:
                ray.shutdown()


def _join(place: Place) -> None:
    # A job that was submitted to a cluster finds the address in its environment.
    # Ray's own reading of "auto" begins there too.
    named = None if place.address == "auto" else place.address
    address = named or os.environ.get("RAY_ADDRESS") or place.address or _LOCAL
    if address.startswith("ray://"):
        raise RayClient(address)
    for each in clusters_here(Path("/proc")) if address == "auto" else (address,):
        if refused(each):
            raise RayExposed(each)
    cpus = None
    if address == _LOCAL:
        cpus = max(math.ceil(place.workers * place.cpus), os.cpu_count() or 1)
    try:
        ray.init(
            address,
            num_cpus=cpus,
            include_dashboard=False if address == _LOCAL else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RayUnreachable(address, str(error).strip().partition("\n")[0]) from error
    _close_token()


def _check_one_host() -> None:
    hosts = {node["NodeManagerHostname"] for node in _nodes() if node["Alive"]}
    if len(hosts) > 1:
        raise OneMachineOnly(hosts)


def _nodes() -> list[dict[str, Any]]:
    return list(ray.nodes())  # type: ignore[no-untyped-call]


def _close_token() -> None:
    """Ray writes its token as the umask says, which mostly lets everybody read it."""
    token = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in given}
    os.environ.update({name: value for name, value in given.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """What Tune logs of trials is told by us, in our words."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
