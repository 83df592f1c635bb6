"""autolora db and doctor --fix, as a person calls them."""

import json
import sqlite3
from pathlib import Path

import optuna

from tests.cli.conftest import Place

STORED = Path(__file__).parents[1] / "assets" / "databases" / "schema-0002.sqlite.sql"


def test_an_older_database_is_refused_until_it_is_upgraded(place: Place) -> None:
    file = place.folder / "runs" / "digits" / "study.db"
    file.parent.mkdir(parents=True)
    with sqlite3.connect(file) as connection:
        connection.executescript(STORED.read_text())
    connection.close()
    assert "autolora db upgrade" in place.refused(3, "trials", "digits")
    checked = place("db", "check", "--study", "digits", "--json")
    assert checked.returncode == 3
    assert json.loads(checked.stdout)["schema"] == "0002"
    assert checked.stderr.count("\n") == 1
    upgraded = place("db", "upgrade", "--study", "digits", "--json")
    assert upgraded.returncode == 0, upgraded.stderr
    assert json.loads(upgraded.stdout)["before"] == "0002"
    assert place("db", "check", "--study", "digits").returncode == 0
    place.refused(3, "db", "check", "--storage", "sqlite:///other.db")
    both = place("db", "check", "--study", "digits", "--storage", "sqlite:///other.db")
    assert both.returncode == 0, "an address of the environment decides nothing then"
    # The stored study is only as much of one as the tests of the database need.
    assert "older autolora" not in place("trials", "digits").stderr

    optuna.delete_study(study_name="digits", storage=f"sqlite:///{file}")
    address = f"sqlite:///{file}"
    assert place("doctor", "--storage", address).returncode == 1
    fixed = place("doctor", "--storage", address, "--fix")
    assert "cleared: digits" in fixed.stdout
    assert fixed.returncode == 0, fixed.stdout


def test_which_database_is_to_be_said(place: Place) -> None:
    for words in (("db", "check"), ("db", "upgrade"), ("doctor", "--fix")):
        assert "--storage URL" in place.refused(2, *words)
    assert "holds no study" in place.refused(3, "db", "check", "--study", "none")
