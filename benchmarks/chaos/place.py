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

    def describe(self, **backend: Any) -> None:
        """Writes the file of the study; JSON is YAML, too."""
        if str(TASK) not in sys.path:
            sys.path.insert(0, str(TASK))
        from adding import description

        described = {**description(self.trials, **backend), "self_check": False}
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

    def _start(self, *words: str) -> Process:
        env = {
            **os.environ,
            "AUTOLORA_STORAGE": self.url,
            "AUTOLORA_SPOOL": str(self.folder / "spool"),
            "SUMS_SECONDS": str(self.folder / "seconds"),
            "PYTHONPATH": str(TASK),
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


@contextmanager
def placed(storage: str, trials: int) -> Iterator[Place]:
    """A folder and a new database; what was started in it is ended by its own id."""
    with tempfile.TemporaryDirectory(prefix="autolora-chaos-") as name, _served(storage) as server:
        folder = Path(name)
        url = server.fresh() if server else f"sqlite:///{folder}/study.db"
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
def _served(storage: str) -> Iterator[Server | None]:
    if storage == "sqlite":
        yield None
        return
    if why := missing():
        raise SystemExit(why)
    with served() as server:
        yield server
