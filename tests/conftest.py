from pathlib import Path

import pytest

from autolora.data.assets import fetch
from autolora.errors import FetchFailed


@pytest.fixture(scope="session")
def digits_file() -> Path:
    return _fetched("digits")


@pytest.fixture(scope="session")
def weights_file() -> Path:
    return _fetched("mobilenet_v2")


def _fetched(name: str) -> Path:
    try:
        return fetch(name)
    except FetchFailed as error:
        pytest.skip(str(error))
