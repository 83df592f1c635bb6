"""What fails in a trial is its outcome, so that other trials go on."""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from autolora.artifacts.adapter import Adapter
from autolora.errors import AutoloraError, Diverged, OutOfMemory, StorageUnavailable, TakenAway
from autolora.errors.secret import redacted
from autolora.study.entries import Outcome
from autolora.study.reasons import Kind
from autolora.training.curve import Ledger

_log = logging.getLogger("autolora.study.worker")  # which tells it as the outcome of its trial


def or_failed(
    attempt: Callable[[], tuple[Outcome, Adapter | None]],
) -> tuple[Outcome, Adapter | None]:
    """What an attempt gives; a failure as an outcome, so that other trials go on."""
    began = time.monotonic()
    try:
        return attempt()
    except (StorageUnavailable, TakenAway):
        raise
    except Exception as error:
        kind, reason = _why(error)
        _log.warning("failed: %s", reason, exc_info=error if kind == "bug" else None)
        ledger = Ledger(0, time.monotonic() - began, 0)
        return Outcome("failed", ledger, reason=reason, kind=kind), None


def _why(error: Exception) -> tuple[Kind, str]:
    """The kind of a failure, and its reason in one line; of a bug with where it was raised."""
    if isinstance(error, Diverged):
        return "diverged", "diverged"
    if isinstance(error, OutOfMemory):
        return "out of memory", f"error: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = str(error) or type(error).__name__
    if not isinstance(error, AutoloraError):
        said = f"{type(error).__name__}: {said}"
    said = redacted(said)
    return "bug", f"error: {said} ({Path(last.filename).name}:{last.lineno} in {last.name})"
