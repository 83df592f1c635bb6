"""A real study, small enough to run in seconds, and the command as a person calls it."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

TINY: Mapping[str, Any] = {
    "name": "digits",
    "task": {
        "type": "image",
        "model": "mobilenet_v2",
        "data": {"path": "digits", "splits": {"train": 60, "valid": 60, "test": 60, "seed": 0}},
        "image_size": 32,
    },
    "space": {
        "ranks": [0, 1, 2],
        "groups": [{"name": "pointwise", "kinds": ["pointwise"], "per": "stage", "stages": 2}],
        "training": {"learning_rate": {"low": 0.001, "high": 0.03}},
    },
    "training": {"steps": 4, "batch_size": 16, "evaluations": 2},
    "budget": {"trials": 2, "uniform_rank": 1},
    "baselines": {"uniform_ranks": [1], "learning_rates": 1},
    "confirm": {"seeds": 1},
    "backend": {"name": "inline", "workers": 1},
}
Ended = subprocess.CompletedProcess[str]
COMMAND = str(Path(sys.executable).with_name("autolora"))


@cache
def _warm() -> "subprocess.Popen[str]":
    """Lives as long as the tests: it ends with its standard input."""
    command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)


@dataclass(frozen=True)
class Place:
    """A folder to call commands in."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, **variables: str) -> Ended:
        """Calls `autolora` with these words."""
        with tempfile.TemporaryDirectory() as outputs:
            said = {name: f"{outputs}/{name}" for name in ("stdout", "stderr")}
            job = {
                "folder": str(self.folder),
                "environment": self.environment | variables,
                "words": words,
                **said,
            }
            process = _warm()
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{json.dumps(job)}\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
            texts = {name: Path(file).read_text() for name, file in said.items()}
        return Ended(words, code, **texts)

    def refused(self, code: int, *words: str, **variables: str) -> str:
        """The sentence of a command that ends with this code and leaves no file behind."""
        before = self.files()
        ran = self(*words, **variables)
        assert ran.returncode == code, (ran.returncode, ran.stderr)
        assert ran.stderr.startswith("autolora: ")
        assert ran.stderr.count("\n") == 1, ran.stderr
        assert not ran.stdout
        assert self.files() == before
        return ran.stderr

    def console(self, *words: str) -> Ended:
        """Calls the console script, which takes seconds to load its libraries."""
        called = [COMMAND, *words]
        return subprocess.run(
            called,
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AUTOLORA_STORAGE")}
        return {**inherited, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **self.variables}

    @property
    def storage(self) -> str:
        return f"sqlite:///{self.folder}/study.db"

    def study(self, **changes: Any) -> Path:
        """Writes the small study, changed, as studies/NAME.yaml."""
        described = {**TINY, **changes}
        (self.folder / "studies").mkdir(exist_ok=True)
        file = self.folder / "studies" / f"{described['name']}.yaml"
        file.write_text(yaml.safe_dump(described))
        return file

    def files(self) -> set[str]:
        """All files but those that SQLite keeps beside a database that other workers look at."""
        found = (
            path for path in self.folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))
        )
        return {str(path.relative_to(self.folder)) for path in found}


@pytest.fixture(scope="session", autouse=True)
def _cooled() -> Iterator[None]:
    yield
    if _warm.cache_info().currsize:
        _warm().communicate()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh folder."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with a finished study called digits; one for all test processes."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home = shared / "finished"
    home.mkdir(exist_ok=True)
    made = Place(home, {"AUTOLORA_STORAGE": f"sqlite:///{home}/study.db"})
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "printed").exists():
            made.study()
            run = made("search", "digits")
            assert run.returncode == 0, run.stderr
            (home / "printed").write_text(run.stdout)
    return made


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system in memory, mounted with these options; needs root."""
    folders = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"mounted-{len(folders)}"
        folder.mkdir()
        called = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if os.geteuid() or subprocess.run(called, check=False, capture_output=True).returncode:
            pytest.skip("this process may not mount a file system")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)
