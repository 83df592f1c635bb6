"""The command answers at once: nothing heavy is loaded before it is needed."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

HEAVY = ("torch", "optuna", "sqlalchemy", "plotly", "numpy", "transformers")


@pytest.mark.parametrize("words", [["--help"], ["search", "--help"], ["assets", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print('loaded', [m for m in {HEAVY} if m in sys.modules]))\n"
        f"sys.argv = ['autolora', *{words}]\n"
        "from autolora.cli import main\n"
        "main()\n"
    )
    call = [sys.executable, "-c", code]
    ran = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "Example: autolora" in ran.stdout
    assert ran.stdout.strip().splitlines()[-1] == "loaded []"


def test_without_words_it_helps() -> None:
    call = [sys.executable, "-c", "from autolora.cli import main; main()"]
    ran = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert "Usage:" in ran.stdout + ran.stderr
    assert "search" in ran.stdout + ran.stderr


def test_the_version_by_either_name_of_the_command() -> None:
    for words in ([Path(sys.executable).with_name("autolora")], [sys.executable, "-m", "autolora"]):
        told = subprocess.check_output([*words, "--version"], text=True)
        assert told == f"autolora {version('autolora')}\n"
