"""What one trial did: its attempts, its curve, and where its log is."""

import socket
from dataclasses import dataclass
from pathlib import Path

from autolora.errors import NoSuchTrial
from autolora.study.results import TrialRow
from autolora.study.seen import AttemptRow, read_attempts
from autolora.study.store import Store
from autolora.study.triallog import log_file


@dataclass(frozen=True)
class Tried:
    """An attempt at what a trial tries; each is a trial of its own.

    `host` is where its worker ran, and so where its log is; `here` says whether that is this one.
    """

    attempt: AttemptRow
    log: Path
    host: str
    here: bool


@dataclass(frozen=True)
class TrialLook:
    """A trial and all attempts at it, those before it and those after, in order."""

    trial: TrialRow
    folder: Path
    tried: tuple[Tried, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come."""
        return self.trial.state not in ("waiting", "running")


def look(store: Store, folder: Path, number: int) -> TrialLook:
    """Reads a trial.

    Raises:
        NoSuchTrial: if the study has none of that number.
    """
    rows = store.trials()
    if not 0 <= number < len(rows):
        raise NoSuchTrial(store.name, number, len(rows))
    chain = _chain(store, number)
    tried = [attempt for attempt in read_attempts(store) if attempt.trial in chain]
    return TrialLook(rows[number], folder, tuple(_tried(each, folder) for each in tried))


def lines(file: Path) -> list[str]:
    """The lines of a log; none where there is no such file, as before its first line."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read().splitlines()
    except FileNotFoundError:
        return []


def _chain(store: Store, number: int) -> set[int]:
    """The trials that tried the same one after the other, because workers were lost."""
    told = store.optuna_study().get_trials(deepcopy=False)
    before = {t.number: t.user_attrs.get("retry_of") for t in told}
    after = {of: n for n, of in before.items() if of is not None}
    found, at = {number}, number
    while (earlier := before.get(at)) is not None:
        found.add(at := int(earlier))
    at = number
    while (later := after.get(at)) is not None:
        found.add(at := later)
    return found


def _tried(attempt: AttemptRow, folder: Path) -> Tried:
    host = attempt.worker.rsplit(":", 2)[0]
    return Tried(attempt, log_file(folder, attempt.trial), host, host == socket.gethostname())
