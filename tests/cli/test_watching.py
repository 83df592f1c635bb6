"""What people see of a study: its status, as a table and as lines, and what a trial did."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

Place = Any  # of conftest.py
COMMAND = str(Path(sys.executable).with_name("autolora"))


def test_status_on_a_terminal(finished: Place) -> None:
    """A table that is drawn again until the study is finished: here, once."""
    screen = on_a_terminal(finished, "status", "digits")
    for word in ("finished", "throughput", "example-passes a second", "baseline", "none"):
        assert word in screen


def test_status_as_lines(finished: Place) -> None:
    ran = finished("status", "digits", "--watch")
    (line,) = ran.stdout.splitlines()
    found = json.loads(line)
    assert found["state"] == "finished"
    assert found["measured"] == [3, 0]
    assert found["pace"]["eta_seconds"] == 0
    assert "finished" in on_a_terminal(finished, "status", "digits", "--json")


def test_logs(finished: Place) -> None:
    told = finished("logs", "digits", "1", "--follow").stdout
    assert "uniform 1" in told
    assert "valid_loss" in told
    assert "INFO trial 1: valid loss" in told
    assert told.endswith("trial 1 is complete: no complaint\n")
    found = json.loads(finished("logs", "digits", "1", "--json").stdout)
    assert found["attempts"][0]["kind"] == "finished"
    assert len(found["curve"]) == 2
    assert found["attempts"][0]["lines"]
    said = finished.refused(2, "logs", "digits", "99")
    assert said == 'autolora: study "digits" has no trial 99; they are 0 to 3\n'


def on_a_terminal(place: Place, *words: str) -> str:
    """What a command shows on a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *words],
        cwd=place.folder,
        env={**place.environment, "TERM": "xterm"},
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0.1)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # how Linux says that nobody writes any more
                break
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode()
