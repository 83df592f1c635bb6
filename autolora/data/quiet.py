"""Transformers without its reports and progress bars, its imports without torch's complaints."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

_SPEAKER = "torch.utils._pytree"
_COMPLAINT = "%s is an Enum subclass"


@contextmanager
def quiet() -> Iterator[None]:
    """A context in which transformers says errors only; what it says is as before afterwards.

    That a new head is in no file is what a task is for, and no news.
    """
    from transformers.utils import logging as untyped

    said: Any = untyped
    level, bars = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity_error()
    said.disable_progress_bar()
    try:
        with quietly_imported():
            yield
    finally:
        said.set_verbosity(level)
        if bars:
            said.enable_progress_bar()


@contextmanager
def quiet_hub() -> Iterator[None]:
    """A context in which the hub's client does not tell of its tries: what came of them is told."""
    from huggingface_hub.utils import logging as untyped

    said: Any = untyped
    level = said.get_verbosity()
    said.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        said.set_verbosity(level)


@contextmanager
def quietly_imported() -> Iterator[None]:
    """A context in which torch does not complain of how torchao registers its enumerations.

    Transformers' models import torchao where it is installed, and no user of autolora can do
    anything about it. Everything else that torch says is still heard.
    """
    speaker = logging.getLogger(_SPEAKER)
    # One of its own for each context: of two that are open, the inner one takes only its own away.
    heard = partial(_no_complaint)
    speaker.addFilter(heard)
    try:
        yield
    finally:
        speaker.removeFilter(heard)


def _no_complaint(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_COMPLAINT)
