"""Results on the local disk while they are on their way to the database.

A result is written here first, then into the database, then marked as delivered. What a worker
could not deliver stays, for the next command that opens the study and for `autolora deliver`.

Every process appends to a file of its own, which it keeps locked while it delivers itself. A line
is a result; the adapter lies beside, under a name in the line. No address holds a password.
"""

import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from autolora.artifacts.adapter import Adapter
from autolora.study.entries import Outcome, Plan
from autolora.study.lease import this_worker
from autolora.training.curve import CurvePoint, Ledger

VARIABLE = "AUTOLORA_SPOOL"
VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a worker found and may not have delivered yet.

    `where` is the database as messages show it; `adapter` names the file beside the line.
    """

    where: str
    study: str
    trial: int
    plan: Plan
    outcome: Outcome
    points: tuple[CurvePoint, ...] = ()
    adapter: str | None = None
    worker: str = ""
    written: float = 0.0

    @property
    def key(self) -> tuple[str | int, ...]:
        """What tells it from the other results of its worker."""
        return self.where, self.study, self.trial

    def line(self) -> str:
        """The result as a line of JSON."""
        return json.dumps({"version": VERSION, **asdict(self)}, default=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Result":
        """The result that `line` wrote.

        Raises:
            ValueError, KeyError, TypeError: if it is something else.
        """
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")
        rest = {key: value for key, value in data.items() if key != "version"}
        outcome = dict(rest.pop("outcome"))
        made = outcome.pop("plan")
        name = rest["adapter"]
        if name is not None and Path(name).name != name:
            raise ValueError("the adapter does not lie beside the line")
        return cls(
            **{
                **rest,
                "plan": Plan(**rest["plan"]),
                "points": tuple(CurvePoint(**point) for point in rest["points"]),
                "outcome": Outcome(
                    **{
                        **outcome,
                        "ledger": Ledger(**outcome["ledger"]),
                        "objectives": tuple(outcome["objectives"]),
                        "plan": made and Plan(**made),
                    }
                ),
            }
        )


def folder() -> Path:
    """Where results wait."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given) / "autolora" / "spool"
    try:
        home = Path.home()
    except RuntimeError:  # an account without one: nothing can wait, which is told then
        home = Path("/")
    return home / ".local" / "state" / "autolora" / "spool"


@contextmanager
def spooled(result: Result, adapter: Adapter | None) -> Iterator[None]:
    """Inside, a result lies on the disk; it is delivered when the block ends well.

    A disk that is full keeps nobody from delivering it.
    """
    result = replace(result, worker=this_worker(), written=time.time())
    with _written(result, adapter) as file:
        yield
        if file is not None:
            mark(file, folder(), result)


@contextmanager
def _written(result: Result, adapter: Adapter | None) -> Iterator[IO[str] | None]:
    """The file that holds a result, locked; None if it could not be written."""
    place = folder()
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{result.study}.{result.worker}")
    with ExitStack() as stack:
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = _locked(place / f"{stem}.jsonl")
            stack.callback(_close, file)
            if adapter is not None and result.outcome.state == "complete":
                name = f"{stem}-{result.trial:05d}.safetensors"
                _write(place / name, adapter.to_bytes())
                result = replace(result, adapter=name)
            _append(file, result.line())
        except OSError as error:
            _log.warning("the result of trial %d cannot wait in %s: %s", result.trial, place, error)
            file = None
        yield file


def _locked(path: Path) -> IO[str]:
    """A file that no other process works on; one that took it away meanwhile is no longer it."""
    while True:
        file = path.open("a+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        file.close()


def _close(file: IO[str]) -> None:
    """What a full disk did not take when it was written, it does not take now either."""
    with suppress(OSError):
        file.close()


def mark(file: IO[str], place: Path, result: Result) -> None:
    """Notes that a result was delivered; a file without others goes, and so does the adapter."""
    with suppress(OSError):
        _append(file, json.dumps({"delivered": result.key}))
        file.seek(0)
        left = waiting(file.read())
        for each in place.glob(f"{Path(file.name).stem}-{result.trial:05d}.safetensors"):
            each.unlink(missing_ok=True)
        if left.empty:
            Path(file.name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Waiting:
    """What a file holds that was not delivered.

    Attributes:
        results: Those that can be delivered now.
        newer: The databases of results that only a newer autolora can read; they stay as they are.
        torn: Lines that are none: their process was killed, or the disk was full, meanwhile.
    """

    results: tuple[Result, ...]
    newer: tuple[str, ...]
    torn: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether the file may go."""
        return not (self.results or self.newer)


def waiting(text: str) -> Waiting:
    """What the text of a file holds that was not delivered."""
    found: dict[tuple[Any, ...], Result | str] = {}
    torn = []
    for line in filter(None, text.split("\n")):
        try:
            data = json.loads(line)
            if "delivered" in data:
                found.pop(tuple(data["delivered"]), None)
            elif _is_newer(data):
                found[_key(data)] = str(data.get("where", "a database"))
            else:
                result = Result.of(data)
                found[result.key] = result
        except (ValueError, KeyError, TypeError):
            torn.append(line)
    results = tuple(each for each in found.values() if isinstance(each, Result))
    newer = tuple(each for each in found.values() if isinstance(each, str))
    return Waiting(results, newer, tuple(torn))


def _is_newer(data: Mapping[str, Any]) -> bool:
    return isinstance(data["version"], int) and data["version"] > VERSION


def _key(data: Mapping[str, Any]) -> tuple[Any, ...]:
    """By what a later version marks a result as delivered, as far as that stayed the same."""
    key = tuple(data.get(name) for name in ("where", "study", "trial"))
    return key if all(isinstance(part, str | int) for part in key) else (json.dumps(data),)


def _append(file: IO[str], line: str) -> None:
    """Adds a line, after what may be the torn end of another."""
    file.seek(0, os.SEEK_END)
    whole = file.tell() == 0 or _last(file.name) == b"\n"
    file.write(f"{line}\n" if whole else f"\n{line}\n")
    file.flush()
    os.fsync(file.fileno())


def _last(name: str) -> bytes:
    with Path(name).open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def _write(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
