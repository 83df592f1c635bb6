"""Each command's help ends with an example; every example runs, and again as `--json`."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autolora.cli import app, database, look, register

Place = Any  # of conftest.py
register()
COMMANDS = [
    (found.name or found.callback.__name__,) for found in app.registered_commands if found.callback
] + [
    (group, found.name)
    for group, of in (("assets", look.assets_app), ("db", database.database_app))
    for found in of.registered_commands
]


def example(command: tuple[str, ...]) -> list[str]:
    """The words of the example with which the help of a command ends, as a person sees it."""
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    last = shown.output.strip().splitlines()[-1].strip()
    assert last.startswith("Example: autolora "), last
    words = shlex.split(last.removeprefix("Example: autolora "))
    assert tuple(words[: len(command)]) == command, "the example is of this command"
    return words


def ids(commands: list[tuple[str, ...]]) -> list[str]:
    return [" ".join(command) for command in commands]


# In the order that they need.
WRITERS = ("init", "export", "apply", "merge", "resize", "stack", "extract")
STEERING = ("pause", "stop", "resume")
QUIET = ("deliver",)  # which has nothing to tell here
DATABASE = [command for command in COMMANDS if command[0] == "db"]
SERVERS = ("dashboard", "metrics")
PLAIN = [c for c in COMMANDS if c[0] not in ("search", *SERVERS, *WRITERS, *STEERING, *QUIET, "db")]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """A command decides what SIGTERM does; here that is the test's process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def as_json(place: Place, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> Any:
    """What a command prints for programs, called in this process."""
    monkeypatch.chdir(place.folder)
    said = CliRunner().invoke(app, [*words, "--json"], env=dict(place.variables))
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def test_every_command_is_known() -> None:
    assert sorted({command[0] for command in COMMANDS}) == [
        "apply",
        "assets",
        "best",
        "dashboard",
        "db",
        "deliver",
        "doctor",
        "env",
        "explain",
        "export",
        "extract",
        "init",
        "leaderboard",
        "logs",
        "merge",
        "metrics",
        "pause",
        "plan",
        "report",
        "resize",
        "resume",
        "search",
        "space",
        "stack",
        "status",
        "stop",
        "targets",
        "trials",
        "worker",
    ]
    for command in [(), ("assets",), ("db",)]:
        shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
        assert "Example: autolora" in shown.output.strip().splitlines()[-1]


@pytest.mark.parametrize("command", PLAIN, ids=ids(PLAIN))
def test_example(finished: Place, command: tuple[str, ...]) -> None:
    ran = finished(*example(command))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    assert not ran.stderr


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", PLAIN, ids=ids(PLAIN))
def test_json(finished: Place, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    assert as_json(finished, monkeypatch, example(command))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", DATABASE, ids=ids(DATABASE))
def test_commands_of_the_database(
    finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """They name a study by where it usually lies."""
    shutil.copytree(finished.folder, tmp_path / "runs" / "digits")
    usual = replace(finished, folder=tmp_path)
    ran = usual(*example(command))
    assert ran.returncode == 0, ran.stderr
    assert as_json(usual, monkeypatch, example(command))


@pytest.mark.filterwarnings("default")
def test_nothing_waits_to_be_delivered(finished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = finished(*example(QUIET))
    assert (ran.returncode, ran.stdout) == (0, "nothing waits to be delivered\n")
    assert as_json(finished, monkeypatch, example(QUIET)) == []


@pytest.mark.filterwarnings("default")
def test_commands_that_write(finished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in WRITERS:
        ran = finished(*example((command,)))
        assert ran.returncode == 0, ran.stderr
        assert as_json(finished, monkeypatch, example((command,)))
    assert (finished.folder / "adapter" / "README.md").exists()
    assert (finished.folder / "merged.safetensors").stat().st_size > 8_000_000


@pytest.mark.filterwarnings("default")
def test_commands_that_steer(
    finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a copy: others work on the finished one."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    address = f"sqlite:///{tmp_path}/copy/study.db"
    copy = replace(finished, folder=tmp_path / "copy", variables={"AUTOLORA_STORAGE": address})
    for command in STEERING:
        ran = copy(*example((command,)))
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("digits ")
        assert as_json(copy, monkeypatch, example((command,)))["study"] == "digits"


@pytest.mark.filterwarnings("default")
def test_search_goes_on_with_a_finished_study(
    finished: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to do: it writes the results again."""
    printed = (finished.folder / "printed").read_text()
    ran = finished(*example(("search",)))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == printed
    told = as_json(finished, monkeypatch, example(("search",)))
    assert told["verdict"] in printed
    assert all((finished.folder / name).exists() for name in told["files"].values())


def test_what_programs_read(finished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = as_json(finished, monkeypatch, ["trials", "digits"])
    assert [t["arm"] for t in trials] == ["head only", "uniform 1", "search", "search"]
    assert all(t["state"] == "complete" and len(t["curve"]) == 2 for t in trials)
    best = as_json(finished, monkeypatch, ["best", "digits"])
    assert set(best["test"]) == {"loss", "accuracy", "f1_score"}
    assert best["valid loss"] == min(t["loss"] for t in trials)
    rows = as_json(finished, monkeypatch, ["leaderboard", "digits"])["rows"]
    assert {row["arm"] for row in rows} == {"head only", "uniform 1", "search"}


@pytest.mark.parametrize(("name", "port"), [("dashboard", "8080"), ("metrics", "9464")])
def test_servers_start_and_stop(finished: Place, name: str, port: str) -> None:
    words = example((name,))
    assert words[-2:] == ["--port", port]
    command = [str(Path(sys.executable).with_name("autolora")), *words[:-1], "0"]
    served = subprocess.Popen(
        command,
        cwd=finished.folder,
        env=finished.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert served.stdout is not None
        address = None
        for line in served.stdout:
            if address := re.search(r"http://127\.0\.0\.1:\d+\S*", line):
                break
        assert address is not None
        with urllib.request.urlopen(address[0], timeout=30) as page:
            assert page.status == 200
    finally:
        served.send_signal(signal.SIGINT)
        left = served.communicate(timeout=30)[0]
    assert served.returncode in (0, 130), left
    assert "Traceback" not in left
