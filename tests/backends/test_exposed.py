"""A Ray that others can reach without a token is seen, at an address and among the processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from autolora.backends import Place, ray_tune
from autolora.backends.ray_tune.exposed import beyond, clusters_here, open_processes
from autolora.errors import RayClient, RayExposed


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def looks_like_ray(tmp_path: Path) -> list[str]:
    """A process with the command line of Ray's dashboard; its options are to be added."""
    script = tmp_path / "dashboard.py"
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    return [sys.executable, str(script)]


def started(words: list[str]) -> "subprocess.Popen[str]":
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    return process


def ended(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_a_dashboard_for_everybody_is_seen_unless_it_asks_for_a_token(
    looks_like_ray: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for host, mode, seen in (
        ("0.0.0.0", "", True),
        ("0.0.0.0", "token", False),
        ("127.0.0.1", "", False),
    ):
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
        process = started([*looks_like_ray, f"--host={host}"])
        monkeypatch.delenv("RAY_AUTH_MODE")
        try:
            said = " ".join(open_processes(Path("/proc")))
            assert ray_tune.exposed() or not seen
        finally:
            ended(process)
        assert (f"process {process.pid}" in said) is seen, (host, mode, said)


def test_an_address_elsewhere_needs_a_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray-head.example:6379")
    assert ray_tune.exposed() == "ray-head.example:6379"
    for address in (None, "auto"):
        place = Place(1, address=address, folder=tmp_path)
        with pytest.raises(RayExposed, match="asks nobody"), ray_tune.opened(place):
            pass
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "ray-head.example" not in (ray_tune.exposed() or "")


def test_a_cluster_that_has_a_node_here_needs_a_token_under_any_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`auto` finds it; its head may be elsewhere, so no process here listens for everybody."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    code = "import time; print('up', flush=True); time.sleep(600)"
    words = [str(tmp_path / "raylet"), "-c", code, "--gcs-address=10.9.8.7:6379"]
    node = subprocess.Popen(words, executable=sys.executable, stdout=subprocess.PIPE, text=True)
    assert node.stdout
    assert node.stdout.readline() == "up\n"
    place = Place(1, address="auto", folder=tmp_path)
    try:
        with pytest.raises(RayExposed, match=re.escape("10.9.8.7:6379")), ray_tune.opened(place):
            pass
    finally:
        ended(node)
    latest = tmp_path / "ray" / "ray_current_cluster"
    latest.parent.mkdir()
    latest.write_text("10.9.8.6:6379")
    assert "10.9.8.6:6379" in list(clusters_here(Path("/proc")))
    with pytest.raises(RayExposed, match=re.escape("10.9.8.6:6379")), ray_tune.opened(place):
        pass


def test_ray_client_is_refused(tmp_path: Path) -> None:
    place = Place(1, address="ray://127.0.0.1:10001", folder=tmp_path)
    with pytest.raises(RayClient, match="ray job submit"), ray_tune.opened(place):
        pass


@pytest.mark.parametrize(
    ("address", "is_beyond"),
    [
        ("10.0.0.7:6379", True),
        ("0.0.0.0", True),
        ("::", True),
        ("localhost:1", False),
        ("auto", False),
    ],
)
def test_what_is_beyond_this_machine(address: str, is_beyond: bool) -> None:
    assert beyond(address) is is_beyond
