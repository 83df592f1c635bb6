"""A password of a database is said nowhere: not in logs, not in errors, not in last words."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from sqlalchemy import create_engine

from autolora.errors import AutoloraError, StorageUnavailable, WorkerFailed
from autolora.errors.secret import redacted
from autolora.study.failing import or_failed
from autolora.study.location import read_url
from autolora.study.storage import open_storage
from autolora.study.triallog import log_file, logged

CANARY = "canary/4711 %"
ENCODED = "canary%2F4711%20%25"
ADDRESS = f"postgresql+psycopg://ada:{ENCODED}@127.0.0.1:1/studies"


@pytest.fixture(autouse=True)
def _told() -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(ADDRESS)


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """Everything that is logged, as a program that set up its own logging hears it."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    speakers = [logging.getLogger(), logging.getLogger("optuna")]  # which passes nothing on
    for each in speakers:
        each.addHandler(handler)
    yield text
    for each in speakers:
        each.removeHandler(handler)


def unsaid(text: str) -> bool:
    return not any(word in text for word in (CANARY, ENCODED, "canary"))


@pytest.mark.parametrize("name", ["autolora.study.worker", "optuna", "sqlalchemy.engine.Engine"])
def test_no_log_of_ours_or_of_what_is_told_the_address_repeats_it(
    name: str, heard: io.StringIO
) -> None:
    create_engine(ADDRESS)  # makes SQLAlchemy's loggers
    with pytest.raises(StorageUnavailable):
        open_storage(ADDRESS)
    error = ValueError(f"a driver says {CANARY}")
    logging.getLogger(name).error("no connection to %s", ADDRESS, exc_info=error, stack_info=True)
    assert "ada:***@127.0.0.1" in heard.getvalue()
    assert "a driver says ***" in heard.getvalue()
    assert unsaid(heard.getvalue())


def test_what_optuna_says_of_an_address_is_masked(heard: io.StringIO) -> None:
    """It repeats the whole of it in an error of its own."""
    log = logging.getLogger("autolora.study.renewing")
    try:
        optuna.load_study(study_name=None, storage=ADDRESS)
    except Exception:
        log.exception("failed")
    assert "Traceback" in heard.getvalue()
    assert unsaid(heard.getvalue())


def test_errors_of_ours_are_masked_whatever_they_were_told() -> None:
    for error in (
        AutoloraError(f"at {ADDRESS}"),
        AutoloraError.with_code(f"password={CANARY}", 3),
        WorkerFailed(1, f"Traceback: {ADDRESS}"),
    ):
        assert unsaid(str(error))
        assert unsaid(repr(error))
        assert "***" in str(error)


def test_the_reason_of_a_failed_trial_and_its_log_are_masked(tmp_path: Path) -> None:
    def attempt() -> None:
        raise RuntimeError(f"could not reach {ADDRESS}")

    with logged(tmp_path, 3):
        outcome, _ = or_failed(attempt)  # type: ignore[arg-type]
    assert "could not reach postgresql+psycopg://ada:***@" in str(outcome.reason)
    assert unsaid(str(outcome.reason))
    text = log_file(tmp_path, 3).read_text()
    assert "Traceback" in text
    assert unsaid(text)


def test_a_program_s_last_words_are_masked() -> None:
    code = (
        "from autolora.errors.unsaid import last_words\n"
        "last_words()\n"
        f"raise ValueError({ADDRESS!r})\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "ValueError: postgresql+psycopg://ada:***@127.0.0.1:1/studies" in ended.stderr
    assert unsaid(ended.stderr)


@pytest.mark.parametrize(
    "text",
    ["https://host:8080/path", "a ratio of 3:4@5", "sqlite:////runs/a:b@c/study.db", "passes = 4"],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_a_password_that_is_an_ordinary_word_spoils_no_message() -> None:
    read_url("postgresql+psycopg://ada:studies@host/studies")
    read_url("postgresql+psycopg://ada:autolora@host/studies")
    assert redacted("autolora studies") == "autolora studies"
    said = redacted("postgresql+psycopg://ada:studies@host/studies")
    assert said == "postgresql+psycopg://ada:***@host/studies"
