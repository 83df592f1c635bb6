"""The face of the library: its names, and that importing it costs nothing."""

import subprocess
import sys

import pytest

import autolora

FIXED = (
    "targets Target Allocation attach Attached detach merge mixed disabled save load search Study "
    "resize extract stack ties dare activate active cached split".split()
)


@pytest.mark.parametrize("name", sorted({*autolora.__all__, *FIXED}))
def test_every_name_is_there(name: str) -> None:
    assert name in autolora.__all__
    assert getattr(autolora, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'atach'"):
        autolora.atach  # noqa: B018


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, autolora; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "numpy", "optuna", "sqlalchemy", "transformers", "ray", "plotly", "psycopg"}
    assert not heavy & set(loaded.stdout.split())
