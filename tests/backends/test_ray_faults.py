"""What is killed with a signal: a node of a cluster, and the driver with its Ray."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from adding import description
from ray._raylet import Config
from ray.cluster_utils import Cluster
from sqlalchemy import select

from autolora.errors import AutoloraError
from autolora.study.description import described
from autolora.study.lease import started
from autolora.study.records import attempts
from autolora.study.results import Results
from autolora.study.storage import default_url
from autolora.study.study import Study

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]
HERE = Path(__file__).parent
TRIALS = 6
PATIENCE_SECONDS = 240.0  # far more than it takes; it decides nothing but when a test gives up


@pytest.fixture
def pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands in it is how long a batch takes; there are four to a trial."""
    path = tmp_path / "seconds"
    path.write_text("0.5")
    monkeypatch.setenv("SUMS_SECONDS", str(path))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return path


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without CPUs; it asks for a token, as its address leads beyond loopback."""
    ray = Path(sys.executable).with_name("ray")
    subprocess.run([ray, "get-auth-token", "--generate"], check=True, capture_output=True)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    Config.initialize("")  # this process read the mode when it imported Ray
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()


def check(results: Results) -> None:
    """Every trial of the budget ended once, and nothing was trained twice."""
    states = Counter((trial.arm, trial.state) for trial in results.trials)
    assert states["search", "complete"] == TRIALS, states
    assert states["head only", "complete"] == states["uniform 1", "complete"] == 1
    assert {state for _, state in states} <= {"complete", "failed"}
    trained = [
        (tuple(sorted(trial.allocation.items())), str(trial.configuration))
        for trial in results.trials
        if trial.state == "complete" and trial.reused_from is None
    ]
    assert len(set(trained)) == len(trained)
    assert len(results.finals) == 3 * 2


def test_trials_of_a_killed_node_go_on_elsewhere(
    tmp_path: Path, pace: Path, cluster: Cluster
) -> None:
    cluster.add_node(num_cpus=1)
    doomed = cluster.add_node(num_cpus=1)
    raylet = doomed.all_processes["raylet"][0].process.pid
    backend = {"name": "ray_tune", "workers": 2, "address": cluster.address}
    spec = described(description(TRIALS, **backend))
    study = Study.create(spec, folder=tmp_path, allow_code=True)
    killed: list[int] = []

    def kill(event: Mapping[str, Any]) -> None:
        running = _running(study)
        on_it = [n for n, pid in running.items() if _parent(pid) == raylet]
        if event["event"] == "step" and on_it and not killed:
            killed.extend(on_it)
            pace.write_text("3")  # a worker outlives its node for a moment, and must not end within
            cluster.remove_node(doomed, allow_graceful=False)
            _wait_for_the_end([running[number] for number in on_it])
            pace.write_text("0")

    study.run(kill)
    results = study.results()
    check(results)
    failed = {trial.number: trial.reason for trial in results.trials if trial.state == "failed"}
    assert failed == dict.fromkeys(killed, "worker died")


def test_a_killed_driver_goes_on_with_the_same_command(tmp_path: Path, pace: Path) -> None:
    folder = tmp_path / "study"
    driver = _drive(folder)
    assert driver.stdout
    for line in driver.stdout:
        if line.startswith("trial"):
            break  # one has ended, others run and wait
    children = _below(driver.pid)
    driver.kill()
    driver.communicate()
    pace.write_text("0")
    again = _drive(folder)
    said, _ = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, said
    check(Study.open("sums", default_url(folder)).results())
    _end(children)


def test_a_worker_that_ray_s_memory_monitor_ends_is_shown_as_such(
    tmp_path: Path, pace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any node is full at a hundredth of its memory; the trial is tried again all the same."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "250")
    pace.write_text("2")
    driver = _drive(tmp_path)
    try:
        found = _ended_for_memory(tmp_path, driver)
        children = _below(driver.pid)
    finally:
        driver.kill()
        said, _ = driver.communicate()
    _end(children)
    assert found["reason"] == "worker ended for want of memory", said
    opened = Study.open("sums", default_url(tmp_path))
    again = [row for row in opened.store.optuna_study().trials if "retry_of" in row.user_attrs]
    assert again[0].user_attrs["attempt"] == 2


def _ended_for_memory(folder: Path, driver: "subprocess.Popen[str]") -> Mapping[str, Any]:
    """The first attempt that ended so."""
    until = time.monotonic() + PATIENCE_SECONDS
    while driver.poll() is None and time.monotonic() < until:
        time.sleep(0.5)
        with suppress(AutoloraError):  # there is no database yet
            store = Study.open("sums", default_url(folder)).store
            with store.storage.engine.connect() as connection:
                query = select(attempts).where(attempts.c.kind == "out of memory")
                found = connection.execute(query.order_by(attempts.c.id)).mappings().first()
            store.storage.close()
            if found is not None:
                return dict(found)
    raise AssertionError("none ended so")


def _wait_for_the_end(pids: list[int]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while any(started(pid) is not None for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)


def _drive(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(HERE / "driver.py"), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _running(study: Study) -> dict[int, int]:
    """The process of every trial that runs, by its number."""
    query = select(attempts.c.trial, attempts.c.worker).where(attempts.c.ended.is_(None))
    with study.store.storage.engine.connect() as connection:
        return {row.trial: int(row.worker.split(":")[1]) for row in connection.execute(query)}


def _parent(pid: int) -> int | None:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def _below(pid: int) -> dict[int, int | None]:
    """The processes that a process started, and those that they did: pids and when they began."""
    parents = {int(p.name): _parent(int(p.name)) for p in Path("/proc").glob("[0-9]*")}
    found, more = set[int](), {pid}
    while more := {child for child, parent in parents.items() if parent in more}:
        found |= more
    return {each: started(each) for each in found}


def _end(children: dict[int, int | None]) -> None:
    """Ends what a killed driver left: Ray's agents stay for a minute."""
    for pid, began in children.items():
        if began and started(pid) == began:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
