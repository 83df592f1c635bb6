"""What lies on the local disk is not lost: to a full disk, another database, another process."""

import fcntl
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from autolora.study import delivery, faults, spool
from autolora.study.entries import Outcome, Plan
from autolora.study.spool import Result, spooled
from autolora.study.turns import turn
from autolora.training.curve import Ledger

RESULT = Result("one", "s", 1, Plan("d", {}, {}, 0), Outcome("pruned", Ledger(0, 0.0, 0)))


@pytest.fixture(autouse=True)
def _spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(spool.VARIABLE, str(tmp_path / "spool"))


@contextmanager
def small_files() -> Iterator[None]:
    """The kernel refuses to let a file grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_within_a_line_keeps_nobody_from_delivering() -> None:
    ran = []
    with small_files(), spooled(RESULT, None):
        ran.append(1)
    assert ran, "what could not be written is not tried again when its file is closed"


def test_results_of_two_databases_are_two() -> None:
    other = replace(RESULT, where="two")
    with pytest.raises(KeyError), spooled(RESULT, None):
        raise KeyError  # it waits on
    with spooled(other, None):
        pass
    assert delivery.wheres() == {"one": 1}


def newer() -> str:
    data = json.loads(RESULT.line())
    return json.dumps({**data, "version": spool.VERSION + 1, "trial": 7, "more": 1})


def test_the_results_of_a_newer_version_stay_and_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spool.folder().mkdir()
    path = spool.folder() / "s.worker.jsonl"
    path.write_text(f'{newer()}\n{RESULT.line()}\n{{"torn\n')
    assert delivery.wheres() == {"one": 2}
    assert "1 result(s)" in caplog.text
    assert "pip install -U autolora" in caplog.text
    assert path.with_suffix(".torn").read_text() == '{"torn\n', "and nothing else"
    with path.open("a+") as file:
        spool.mark(file, spool.folder(), RESULT)
    assert newer() in path.read_text()
    assert delivery.wheres() == {"one": 1}
    assert caplog.text.count("newer autolora") == 1, "it is said once"
    with path.open("a+") as file:
        spool.mark(file, spool.folder(), replace(RESULT, trial=7))  # as that version does
    assert not path.exists()


def test_a_file_that_was_begun_anew_is_not_taken_for_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its worker delivers and begins another one between the opening and the locking of it."""
    with pytest.raises(KeyError), spooled(RESULT, None):
        raise KeyError
    (path,) = spool.folder().iterdir()
    lock = fcntl.flock

    def late(file: object, how: int) -> None:
        path.rename(path.with_suffix(".gone"))
        path.write_text(f"{RESULT.line()}\n")
        lock(file, how)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", late)
        assert delivery.wheres() == {}, "it is its worker's"
    assert delivery.wheres() == {"one": 1}


@pytest.mark.parametrize(
    "text",
    [
        "consuming input failed: SSL SYSCALL error: EOF detected",
        "SSL error: unexpected eof while reading",
        "server conn crashed?",
        "could not send data to server: Broken pipe",
    ],
)
def test_a_server_that_breaks_off_may_come_back(text: str) -> None:
    assert faults.passes(psycopg.OperationalError(text))


def test_a_turn_ends_though_a_process_was_forked_in_it(tmp_path: Path) -> None:
    engine = create_engine("sqlite://")
    reading, writing = os.pipe()
    with turn(engine, tmp_path):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)  # lives on until the test has ended
            os._exit(0)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
        os.close(writing)
        os.waitpid(child, 0)
