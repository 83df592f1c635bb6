"""Logs and last words without the passwords of databases."""

import logging
import sys
import traceback
from types import TracebackType

from autolora.errors.secret import redacted

# Of ours, and of those that are told an address: they may repeat it.
_SPEAKERS = ("autolora", "optuna", "sqlalchemy", "alembic", "psycopg")


class Unsaid(logging.Filter):
    """Takes passwords out of a record: its message, its traceback, its stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through, changed only where it has to be."""
        said = record.getMessage()
        if (told := redacted(said)) != said:
            record.msg, record.args = told, ()
        if record.exc_info and record.exc_info[0] is not None:
            words = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (told := redacted(words)) != words:
                record.exc_text, record.exc_info = told, None
        if record.stack_info:
            record.stack_info = redacted(record.stack_info)
        return True


UNSAID = Unsaid()


def keep_unsaid() -> None:
    """From now on no logger of ours, or of what is told an address, says a password.

    A filter works on what its own logger is told, not on what reaches it from those below, so each
    logger gets it; those that are made later do when this is called again.
    """
    # A copy: another thread may make a logger meanwhile.
    for name in (*_SPEAKERS, *list(logging.Logger.manager.loggerDict)):
        if name.partition(".")[0] in _SPEAKERS:
            logging.getLogger(name).addFilter(UNSAID)


def last_words() -> None:
    """From now on a fault that ends this program is told without passwords."""
    keep_unsaid()
    sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, where))))
