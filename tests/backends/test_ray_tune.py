"""A real Ray on this machine: jobs find workers, and however those end, the driver hears of it."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
from adding import description
from counting import Counting
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from autolora.backends import Jobs, Place, ray_tune
from autolora.errors import AutoloraError, JobFailed, OneMachineOnly, WorkersLost
from autolora.study.description import described
from autolora.study.results import Results
from autolora.study.study import Study

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore"),  # those of Ray and what it imports
]
HERE = Path(__file__).parent
Heard = list[Mapping[str, Any]]


@pytest.fixture(scope="module")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands in it is how long a batch takes."""
    return tmp_path_factory.mktemp("pace") / "seconds"


@pytest.fixture(scope="module", autouse=True)
def _here(pace: Path) -> Iterator[None]:
    """One Ray with two CPUs, as somebody's own program would start it."""
    before = dict(os.environ)
    os.environ |= {"PYTHONPATH": str(HERE), "SUMS_SECONDS": str(pace), "OMP_NUM_THREADS": "1"}
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _quick(pace: Path) -> None:
    pace.write_text("0")


def scheduled(jobs: Jobs, folder: Path, **place: Any) -> Heard:
    heard: Heard = []
    where = Place(folder=folder, **{"workers": 2, **place})
    ray_tune.schedule(jobs, {"text": "hello"}, heard.append, where)
    return heard


def test_every_job_is_done_by_workers_that_stay_warm(tmp_path: Path) -> None:
    jobs = Counting(*["say"] * 6)
    heard = scheduled(jobs, tmp_path)
    assert sorted(event["n"] for event in heard) == list(range(6))
    assert {event["text"] for event in heard} == {"hello"}
    assert len({event["pid"] for event in heard}) <= 2
    assert max(event["jobs"] for event in heard) >= 3
    assert {event["threads"] for event in heard} == {"1"}
    assert not jobs.lost_ones
    assert not list(tmp_path.iterdir()), "what Tune writes for itself is of use to nobody"


def test_an_error_of_a_job_is_raised_with_its_code(tmp_path: Path) -> None:
    jobs = Counting("refuse", "wait", again=False)
    with pytest.raises(AutoloraError, match="that cannot be; write this instead") as error:
        scheduled(jobs, tmp_path)
    assert error.value.exit_code == 2
    assert {reason for _, reason in jobs.lost_ones} <= {"interrupted"}


def test_a_fault_of_the_program_is_told_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"ZeroDivisionError: a fault of the program"):
        scheduled(Counting("break"), tmp_path)


def test_the_job_of_a_killed_worker_is_given_back(tmp_path: Path) -> None:
    jobs = Counting("say", "die", "say")
    heard = scheduled(jobs, tmp_path)
    assert jobs.lost_ones == [(1, "died")]
    assert sorted(event["n"] for event in heard) == [0, 1, 2]


def test_workers_that_all_die_end_the_run(tmp_path: Path, monkeypatch: Any) -> None:
    from autolora.backends.ray_tune import tuning

    monkeypatch.setattr(tuning, "_MOST_LOST", 2)
    jobs = Counting(*["die"] * 9, again=False)
    with pytest.raises(WorkersLost, match="3 workers in a row"):
        scheduled(jobs, tmp_path, workers=1)


def test_an_interrupt_gives_jobs_back(tmp_path: Path) -> None:
    jobs = Counting("wait", again=False)

    def interrupt(event: Mapping[str, Any]) -> None:
        if event["event"] == "waiting":
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        ray_tune.schedule(jobs, {"text": ""}, interrupt, Place(1, folder=tmp_path))
    assert jobs.lost_ones == [(0, "interrupted")]
    assert signal.getsignal(signal.SIGINT) is before


def run(folder: Path, extras: dict[str, Any] | None = None, **changes: Any) -> Results:
    spec = described(description(**changes))
    study = Study.create(spec, folder=folder, allow_code=True)
    study.run(extras=extras)
    return study.results()


def table(results: Results) -> list[str]:
    return sorted(f"{t.arm} {t.state} {t.configuration} {t.loss}" for t in results.trials)


def test_a_study_finds_what_it_finds_inline(tmp_path: Path) -> None:
    there = run(tmp_path / "ray", name="ray_tune", workers=2, cpus=0.5)
    here = run(tmp_path / "inline", name="inline")
    assert table(there) == table(here)
    assert sorted(map(str, there.finals)) == sorted(map(str, here.finals))
    assert not (tmp_path / "ray" / "ray").exists()


def test_an_interrupted_study_takes_no_half_result(tmp_path: Path, pace: Path) -> None:
    """What is stopped because the search ends is tried again, and counts as nothing until then."""
    pace.write_text("0.5")
    spec = described(description(2, name="ray_tune", workers=2))
    study = Study.create(spec, folder=tmp_path, allow_code=True)

    def interrupt(event: Mapping[str, Any]) -> None:
        if str(event.get("what")).startswith(("trial 2:", "trial 3:")):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        study.run(interrupt)
    trials = study.results().trials
    assert {trial.state for trial in trials} <= {"complete", "failed", "waiting"}
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert {trial.reason for trial in failed} == {"interrupted"}
    assert sum(trial.state == "waiting" for trial in trials) == len(failed)


class FirstOnly(FIFOScheduler):  # type: ignore[misc]
    """Stops every trial at its first evaluation."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return str(TrialScheduler.STOP if result.get("step") == 2 else TrialScheduler.CONTINUE)


class Seen(tune.Callback):  # type: ignore[misc]
    results: list[dict[str, Any]] = []  # noqa: RUF012

    def on_trial_result(self, *_: Any, **turn: Any) -> None:
        assert "events" not in turn["result"]
        self.results.append(turn["result"])


def test_a_scheduler_of_tunes_prunes_and_callbacks_see_every_evaluation(
    tmp_path: Path, pace: Path
) -> None:
    pace.write_text("1")
    Seen.results.clear()
    extras = {"scheduler": FirstOnly(), "callbacks": [Seen()]}
    found = run(tmp_path, extras, trials=2, name="ray_tune", workers=2)
    by_arm = {(trial.arm, trial.state) for trial in found.trials}
    # What was stopped after half its length is nobody's finished value; baselines run to their end.
    assert by_arm == {
        ("head only", "complete"),
        ("uniform 1", "complete"),
        ("search", "pruned"),
    }
    seen = {result.get("valid_loss") for result in Seen.results}
    for trial in found.trials:
        assert seen >= {point.valid_loss for point in trial.curve if point.step == 2}


def test_a_sqlite_file_serves_one_machine_only(tmp_path: Path, monkeypatch: Any) -> None:
    from autolora.backends.ray_tune import cluster

    nodes = [{"Alive": True, "NodeManagerHostname": name} for name in ("a", "b")]
    monkeypatch.setattr(cluster, "_nodes", lambda: nodes)
    with pytest.raises(OneMachineOnly, match=r"this cluster has 2 \(a, b\)"):
        scheduled(Counting("say"), tmp_path, one_host=True)


def test_it_runs_outside_the_main_thread_too(tmp_path: Path) -> None:
    heard: Heard = []
    other = threading.Thread(target=lambda: heard.extend(scheduled(Counting("say"), tmp_path)))
    other.start()
    other.join()
    assert [event["n"] for event in heard] == [0]
