"""A real study, small enough to run in seconds, and the command as a person calls it."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

TINY: Mapping[str, Any] = {
    "name": "digits",
    "task": {
        "type": "image",
        "model": "mobilenet_v2",
        "data": "digits",
        "image_size": 32,
        "splits": {"train": 60, "valid": 60, "test": 60, "seed": 0},
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
COMMAND = str(Path(sys.executable).with_name("autolora"))


@dataclass(frozen=True)
class Place:
    """A folder to call commands in."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Calls `autolora` with these words."""
        called = [COMMAND, *words]
        environment = self.environment | variables
        return subprocess.run(
            called, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
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
        """Everything in the folder, as paths."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


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
        if os.geteuid() or subprocess.run(called, capture_output=True).returncode:
            pytest.skip("this process may not mount a file system")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)
