"""Optuna's own tests of storages, on the storage that a study opens."""

from collections.abc import Iterator

import pytest
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase

from autolora.study.storage import open_storage


@pytest.fixture
def storage(address: str) -> Iterator[BaseStorage]:
    opened = open_storage(address)
    yield opened.optuna
    opened.close()


# One of them pickles a storage and leaves the copy open, which psycopg complains of.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
class TestStorage(StorageTestCase):
    """Every test is Optuna's; none is left out."""
