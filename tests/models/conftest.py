from collections.abc import Callable

import pytest

from autolora.data.assets import fetch
from autolora.errors import FetchFailed


@pytest.fixture(scope="session")
def available() -> Callable[[str], None]:
    """Skips a test whose weights can neither be found nor downloaded; asks once for each."""
    missing: dict[str, str] = {}

    def needed(name: str) -> None:
        if name not in missing:
            try:
                fetch(name)
                missing[name] = ""
            except FetchFailed as error:
                missing[name] = str(error)
        if missing[name]:
            pytest.skip(missing[name])

    return needed
