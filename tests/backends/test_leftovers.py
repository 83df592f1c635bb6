"""Folders of Tune go with their run, those of a killed driver with the next one."""

import subprocess
import sys
from pathlib import Path

from autolora.backends.ray_tune import leftovers

DRIVER = """
import sys
from pathlib import Path
from autolora.backends.ray_tune import leftovers

with leftovers.own(Path(sys.argv[1]), "killed", stays=False):
    (Path(sys.argv[1]) / "killed").mkdir()
    print("up", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_driver_left_goes_when_the_next_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "ray"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout
    assert driver.stdout.readline() == "up\n"
    with leftovers.own(path, "callbacks", stays=True):
        (path / "callbacks").mkdir()
    with leftovers.own(path, "mine", stays=False):
        (path / "mine" / "deep").mkdir(parents=True)
        assert (path / "killed").is_dir(), "its driver lives"
    assert {each.name for each in path.iterdir()} == {"killed", "killed.driver", "callbacks"}
    driver.kill()
    driver.communicate()
    with leftovers.own(path, "next", stays=False):
        assert {each.name for each in path.iterdir()} == {"next.driver", "callbacks"}
    assert {each.name for each in path.iterdir()} == {"callbacks"}, "somebody else wrote there"


def test_nothing_is_left_of_a_run_that_ends(tmp_path: Path) -> None:
    with leftovers.own(tmp_path / "ray", "mine", stays=False):
        (tmp_path / "ray" / "mine").mkdir()
    assert list(tmp_path.iterdir()) == []
