"""What a trial did, line by line: a file for each, beside the study's other results."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from autolora.errors.unsaid import UNSAID

_SPEAKER = "autolora"
_WORKER = "autolora.study.worker"
_BYTES = 2**23  # of a log, then it begins anew and the former part is kept once


def log_file(folder: Path, number: int) -> Path:
    """Where the lines of a trial are.

    >>> log_file(Path("runs/digits"), 12).as_posix()
    'runs/digits/logs/trial-00012.log'
    """
    return folder / "logs" / f"trial-{number:05d}.log"


@contextmanager
def logged(folder: Path | None, number: int) -> Iterator[None]:
    """Inside, what autolora logs in this process goes into the file of a trial too.

    Where that cannot be written, a worker goes on without.
    """
    handler = None if folder is None else _opened(log_file(folder, number))
    if handler is None:
        yield
        return
    speaker = logging.getLogger(_SPEAKER)
    level = speaker.level
    handlers = [handler] if speaker.hasHandlers() else [handler, _said()]
    for each in handlers:
        each.addFilter(UNSAID)
        speaker.addHandler(each)
    speaker.setLevel(min(speaker.getEffectiveLevel(), logging.INFO))
    try:
        yield
    finally:
        speaker.setLevel(level)
        for each in handlers:
            speaker.removeHandler(each)
            each.close()


def _opened(file: Path) -> logging.Handler | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = _Lines(file, maxBytes=_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        logging.getLogger(__name__).warning("no log in %s: %s", file, error.strerror or error)
        return None
    handler.setLevel(logging.INFO)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    return handler


def _said() -> logging.Handler:
    """Warnings as a program without handlers says them, such as that the database is away.

    Not those of the worker: it tells them as the outcome of its trial.
    """
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.name != _WORKER)
    return handler


class _Lines(RotatingFileHandler):
    """A log that cannot be written any more ends no trial."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 — logging's name
        """Says nothing: the disk is full, and the database will say so."""
        del record
