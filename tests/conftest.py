import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autolora.data.assets import fetch
from autolora.errors import FetchFailed
from tests.postgres import Server, missing, served


@pytest.fixture(scope="session", autouse=True)
def _spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Results that a test leaves behind wait in no folder of the user's."""
    before = os.environ.get("AUTOLORA_SPOOL")
    os.environ["AUTOLORA_SPOOL"] = str(tmp_path_factory.mktemp("spool"))
    yield
    os.environ.pop("AUTOLORA_SPOOL")
    if before is not None:
        os.environ["AUTOLORA_SPOOL"] = before


@pytest.fixture(scope="session")
def digits_file() -> Path:
    return _fetched("digits")


@pytest.fixture(scope="session")
def weights_file() -> Path:
    return _fetched("mobilenet_v2")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server that all tests of a process share; each takes a `fresh` database."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with served() as server:
        yield server


def _fetched(name: str) -> Path:
    try:
        return fetch(name)
    except FetchFailed as error:
        pytest.skip(str(error))
