"""Worker processes: what they report arrives, and however they end, the parent hears of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autolora.backends import Listen, process
from autolora.errors import AutoloraError, UsageError, WorkerFailed

HERE = "test_process"


def report(payload: Mapping[str, Any], listen: Listen) -> None:
    sys.stdout.write("what libraries print is no event\n")
    listen({"event": "said", "worker": payload["worker"], "text": payload["text"]})


def refuse(payload: Mapping[str, Any], listen: Listen) -> None:
    raise UsageError("that cannot be; write this instead")


def die(payload: Mapping[str, Any], listen: Listen) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(payload: Mapping[str, Any], listen: Listen) -> None:
    died = Path(payload["folder"]) / str(payload["worker"])
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    listen({"event": "trial", "worker": payload["worker"]})


def wait(payload: Mapping[str, Any], listen: Listen) -> None:
    listen({"event": "said", "pid": os.getpid()})
    time.sleep(60)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_every_worker_reports() -> None:
    heard: list[Mapping[str, Any]] = []
    process.run(f"{HERE}:report", {"text": "hello"}, heard.append, workers=2)
    assert sorted(event["worker"] for event in heard) == [0, 1]
    assert {event["text"] for event in heard} == {"hello"}


def test_an_error_of_a_worker_is_raised_with_its_code() -> None:
    with pytest.raises(AutoloraError, match="that cannot be; write this instead") as error:
        process.run(f"{HERE}:refuse", {}, print, workers=1)
    assert error.value.exit_code == 2


def test_workers_that_are_killed_in_a_row_end_the_run() -> None:
    with pytest.raises(WorkerFailed, match="exit code -9"):
        process.run(f"{HERE}:die", {}, print, workers=1)


def test_a_killed_worker_is_followed_by_another(tmp_path: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    process.run(f"{HERE}:die_once", {"folder": str(tmp_path)}, heard.append, workers=2)
    assert sorted(e["worker"] for e in heard if e["event"] == "trial") == [0, 1]
    said = sorted(event["text"] for event in heard if event["event"] == "said")
    assert said == [
        f"worker {number} was ended by signal 9; another takes its place" for number in (0, 1)
    ]


def test_workers_end_with_their_parent() -> None:
    code = (
        "from autolora.backends import process\n"
        f"process.run('{HERE}:wait', {{}}, lambda e: print(e['pid'], flush=True), workers=1)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
