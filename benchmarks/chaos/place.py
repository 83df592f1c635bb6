"""A study for a fault: a task that trains in milliseconds, its database, and its processes."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.postgres import Server, missing, served

TASK = Path(__file__).parents[2] / "tests" / "backends"
AUTOLORA = Path(sys.executable).with_name("autolora")
PATIENCE_SECONDS = 300.0  # when a fault gives up; it decides nothing else
Process = subprocess.Popen[bytes]


@dataclass
class Place:
    """Where a fault happens; `server` is None with SQLite."""

    folder: Path
    url: str
    server: Server | None
    trials: int
    started: list[Process] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def describe(self, *, sampler: str = "random", **backend: Any) -> None:
        """Writes the file of the study; JSON is YAML, too."""
        if str(TASK) not in sys.path:
            sys.path.insert(0, str(TASK))
        from adding import description

        options = {"startup_trials": 3} if sampler == "tpe" else {}
        described = {
            **description(self.trials, **backend),
            "self_check": False,
            "sampler": {"name": sampler, **options},
        }
        (self.folder / "sums.yaml").write_text(json.dumps(described))

    def pace(self, seconds: float) -> None:
        """How long a batch takes; there are four to a trial."""
        beside = self.folder / "seconds.part"
        beside.write_text(str(seconds))
        beside.replace(self.folder / "seconds")

    def search(self) -> Process:
        return self._start("search", str(self.folder / "sums.yaml"))

    def worker(self) -> Process:
        return self._start("worker", "sums")

    def said(self, words: str) -> bool:
        """Whether a log says so: that of the processes, or that of a trial."""
        logs = [self.log, *self.folder.glob("runs/**/*.log")]
        return any(words in log.read_text(errors="replace") for log in logs)

    def last_words(self) -> str:
        """How its processes ended, and the end of what they said."""
        codes = [process.poll() for process in self.started]
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"exit codes {codes}; they said:\n{text[-4000:]}"

    def _start(self, *words: str) -> Process:
        env = {
            **os.environ,
            "AUTOLORA_STORAGE": self.url,
            "AUTOLORA_SPOOL": str(self.folder / "spool"),
            "SUMS_SECONDS": str(self.folder / "seconds"),
            "PYTHONPATH": os.pathsep.join([str(TASK), *_given("PYTHONPATH")]),
            "OMP_NUM_THREADS": "1",
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [AUTOLORA, *words, "--allow-code"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=env,
            )
        self.started.append(process)
        return process


def _given(variable: str) -> list[str]:
    value = os.environ.get(variable)
    return [value] if value else []


@contextmanager
def placed(server: Server | None, trials: int, database: Path | None = None) -> Iterator[Place]:
    """A folder and a new database; what was started in it is ended by its own id.

    `database` is where a SQLite file lies, if not in that folder.
    """
    with tempfile.TemporaryDirectory(prefix="autolora-chaos-") as name:
        folder = Path(name)
        url = server.fresh() if server else f"sqlite:///{database or folder}/study.db"
        place = Place(folder, url, server, trials)
        place.pace(0.0)
        try:
            yield place
        finally:
            for process in place.started:
                with suppress(ProcessLookupError):
                    process.kill()
                process.wait()


@contextmanager
def serving(storage: str) -> Iterator[Server | None]:
    """A PostgreSQL server for faults; None for those with SQLite."""
    if storage == "sqlite":
        yield None
        return
    if why := missing():
        raise SystemExit(why)
    with served() as server:
        yield server
