"""The benchmark runs at all; no time decides."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "benchmarks.adapter")


@pytest.mark.slow
def test_the_quick_benchmark_writes_what_it_prints(tmp_path: Path) -> None:
    page = tmp_path / "adapter.md"
    command = [*COMMAND, "--quick", "--threads", "1", "--write", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert page.read_text() == done.stdout
    tables = done.stdout.split("\n## ")
    titles = [part.splitlines()[0] for part in tables[1:]]
    assert titles == [
        "Training step, 1 thread",
        "Inference, 1 thread",
        "Beside the steps, 1 thread",
        "FLOPs of a training step",
        "FLOPs of inference",
        "Memory of a training step, MB",
        "Missed",
    ]
    for part in (1, 2, 4, 5, 6):
        assert "| MiniLM, 2×8 tokens, rank 8" in tables[part]
        assert "| LSTM 256" in tables[part]


@pytest.mark.slow
def test_its_usage_names_every_option() -> None:
    shown = subprocess.check_output([*COMMAND, "--help"], cwd=ROOT, text=True)
    for option in ("--threads", "--seconds", "--only", "--quick", "--write"):
        assert option in shown
