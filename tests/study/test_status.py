"""How a study stands, from what its database holds."""

import logging
from pathlib import Path

import optuna
import pytest
from made import DESCRIPTION, DISTRIBUTIONS, NAME, YOUNG, outcome, plan, record
from sqlalchemy import update

from autolora.spending.journal import Entry
from autolora.spending.stage import Stage
from autolora.study import material, register, wish
from autolora.study.entries import Outcome, Plan
from autolora.study.gauges import METRICS, RayGauges
from autolora.study.records import attempts
from autolora.study.register import now
from autolora.study.results import FinalRow
from autolora.study.status import status
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.triallog import log_file, logged
from autolora.study.triallook import look
from autolora.training.curve import CurvePoint, Ledger


@pytest.fixture
def store(address: str):
    storage = open_storage(address)
    made = Store(storage, NAME)
    made.create(record(description=DESCRIPTION))
    yield made
    storage.close()


def change(store: Store, number: int, **columns: object) -> None:
    with store.storage.engine.begin() as connection:
        connection.execute(update(attempts).where(attempts.c.trial == number).values(**columns))


def ran(store: Store, study: optuna.Study, loss: float, of: Plan) -> int:
    """A trial from asking to its result, with the metric of the objective."""
    number = store.ask(study, DISTRIBUTIONS).number
    assert store.claim(number, of).state == "new"
    assert store.finish(number, outcome(loss, metrics={"loss": loss}))
    return number


def test_a_fresh_study(store: Store) -> None:
    found = status(store, now(store))
    assert found.state == "running"
    assert found.trials["search"] == dict.fromkeys(found.trials["search"], 0)
    assert (found.workers, found.best, found.last_result) == ((), None, None)
    assert found.pace.eta_seconds is None
    assert found.measured == (0, 0)
    assert not any(found.failures.values())


def test_what_a_worker_does(store: Store, study: optuna.Study) -> None:
    number = store.ask(study, DISTRIBUTIONS).number
    store.claim(number, plan("a"))
    store.curve(number, [CurvePoint(50, 1.0, 2.0, 1e-3)])
    moment = now(store)
    found = status(store, moment)
    (worker,) = found.workers
    assert (worker.trial, worker.doing, worker.share, worker.live) == (number, "search", 0.5, True)
    assert worker.lease_seconds is not None
    assert 0 < worker.lease_seconds <= 60
    assert found.trials["search"]["running"] == 1
    assert found.stale_leases == 0

    change(store, number, worker="elsewhere:1:1", lease_until=moment - 5, seen=moment - 65)
    (worker,) = status(store, moment).workers
    assert (worker.host, worker.pid, worker.live) == ("elsewhere", 1, False)
    assert worker.lease_seconds == pytest.approx(-5, abs=1e-3)
    assert worker.seen_seconds == pytest.approx(65, abs=1e-3)
    assert status(store, moment).stale_leases == 1


def test_throughput_budget_and_time_left(store: Store, study: optuna.Study) -> None:
    """Two of four trials in half an hour: the other two take another half hour."""
    for digest, loss in (("a", 0.5), ("b", 0.25)):
        ran(store, study, loss, plan(digest))
    moment = now(store)
    for number in (0, 1):
        change(store, number, started=moment - 1800, ended=moment - 60)
    found = status(store, moment)
    assert found.pace.trials_per_hour == pytest.approx(4.0)
    assert found.pace.passes_per_second == pytest.approx(200 / 1800)
    assert [(limit.name, limit.share) for limit in found.budget] == [("trials", 0.5)]
    assert found.example_passes == 200
    assert found.seconds == 4.0
    # then an arm is measured at two seeds, as long as a trial each
    assert found.measured == (0, 2)
    assert found.pace.eta_seconds == pytest.approx(1800 + 2 * 2.0)
    assert found.best is not None
    assert (found.best.trial, found.best.metric, found.best.value) == (1, "loss", 0.25)
    # what ended more than an hour ago counts for nothing
    for number in (0, 1):
        change(store, number, started=moment - 9000, ended=moment - 8000)
    assert status(store, moment).pace.trials_per_hour == 0
    assert status(store, moment).pace.eta_seconds is None


def test_a_strategy_that_does_its_own_work(address: str) -> None:
    """Its budget counts fine-tunes: one of two took 50 seconds."""
    storage = open_storage(address)
    store = Store(storage, NAME)
    budget = {"ft": 2.0, "uniform_rank": 1}
    store.create(record(description={**DESCRIPTION, "budget": budget}))
    assert status(store, now(store)).budget == ()
    register.change(store, material.NOTE, lambda _: {"context": "x", "fine_tune": 100})
    store.journal().keep("key", Entry(Stage("a stage", 100, 50.0), {}))
    found = status(store, now(store))
    storage.close()
    assert [(limit.name, limit.share) for limit in found.budget] == [("ft", 0.5)]
    assert found.pace.eta_seconds == pytest.approx(50.0)
    assert (found.example_passes, found.seconds) == (100, 50.0)


def test_best_keeps_the_budget_of_parameters(store: Store, study: optuna.Study) -> None:
    ran(store, study, 0.1, plan("large", rank=3))
    ran(store, study, 0.3, plan("small", rank=1))
    found = status(store, now(store))
    assert found.best is not None
    assert found.best.trial == 1


def test_failures_by_why(store: Store, study: optuna.Study) -> None:
    for kind in ("diverged", "bug", "bug", None):
        number = store.ask(study, DISTRIBUTIONS).number
        store.claim(number, plan(f"{number}"))
        store.finish(number, Outcome("failed", Ledger(1, 1.0, 1), reason="x"))
        change(store, number, kind=kind)
    failures = status(store, now(store)).failures
    assert {kind: count for kind, count in failures.items() if count} == {
        "diverged": 1,
        "bug": 2,
        "other": 1,
    }


def test_states(store: Store, study: optuna.Study) -> None:
    wish.want(store, "pause")
    assert status(store, now(store)).state == "paused"
    wish.want(store, "stop")
    assert status(store, now(store)).state == "stopped"
    wish.want(store, "run")
    for number in range(4):
        ran(store, study, 0.5 - number / 10, plan(f"{number}"))
    assert status(store, now(store)).state == "running"
    for seed in (0, 1):
        store.final(FinalRow("search", 3, seed, 7, "loss", 0.2, 0.1, 0.3))
    found = status(store, now(store))
    assert (found.state, found.measured, found.pace.eta_seconds) == ("finished", (2, 0), 0.0)
    # a study that goes on longer is not finished
    store.create(record(description={**DESCRIPTION, "budget": {"trials": 5, "uniform_rank": 1}}))
    assert status(store, now(store)).state == "running"


class Gauge:
    """As those of Ray: a value for each set of tags."""

    made: dict[str, "Gauge"] = {}  # noqa: RUF012 — for the test below alone

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        assert description
        self.tag_keys = tag_keys
        self.values: dict[tuple[str, ...], float] = {}
        Gauge.made[name] = self

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == self.tag_keys
        self.values[tuple(tags.values())] = value


def test_the_same_figures_under_ray(store: Store, study: optuna.Study) -> None:
    gauges = RayGauges(Gauge)
    ran(store, study, 0.5, plan("a"))
    gauges.show(status(store, now(store)))
    assert set(Gauge.made) == {metric.name for metric in METRICS}
    assert Gauge.made["autolora_trials"].values[NAME, "search", "complete"] == 1
    assert Gauge.made["autolora_best_objective"].values == {(NAME, "loss"): 0.5}
    assert Gauge.made["autolora_study_state"].values[NAME, "running"] == 1
    gauges.show(status(store, now(store)))


def test_names_of_metrics_say_what_they_are() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("autolora_")
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_a_trial_with_its_retries(store: Store, study: optuna.Study, tmp_path: Path) -> None:
    study.enqueue_trial({"rank.all": 2})
    first = store.ask(study, DISTRIBUTIONS).number
    change(store, first, worker="elsewhere:1:1", lease_until=0.0)
    store.tenure = YOUNG
    assert store.reclaim() == [first]
    second = store.ask(study, DISTRIBUTIONS).number
    store.claim(second, plan("a"))
    store.finish(second, outcome(0.5, ledger=Ledger(1, 1.0, 1)))
    for number in (first, second):
        found = look(store, tmp_path, number)
        assert [tried.attempt.trial for tried in found.tried] == [first, second]
        assert [tried.here for tried in found.tried] == [False, True]
        assert found.tried[0].host == "elsewhere"
        assert found.tried[0].attempt.kind == "expired"
    assert status(store, now(store)).retries == 1


def test_a_log_holds_what_is_said_during_its_trial(tmp_path: Path) -> None:
    speaker = logging.getLogger("autolora.study.test")
    before = logging.getLogger("autolora").level
    speaker.warning("before")
    with logged(tmp_path, 12):
        speaker.info("during")
        try:
            raise ValueError("a bug")  # noqa: TRY301 — for its traceback
        except ValueError:
            speaker.exception("it failed")
    speaker.warning("after")
    written = log_file(tmp_path, 12).read_text()
    assert logging.getLogger("autolora").handlers == []
    assert "INFO during" in written
    assert "Traceback" in written
    assert "ValueError: a bug" in written
    assert "before" not in written
    assert "after" not in written
    assert logging.getLogger("autolora").level == before


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with logged(tmp_path, 0), logged(None, 1):
        logging.getLogger("autolora").info("on we go")


def test_a_trial_that_is_better_is_still_to_be_measured(store: Store, study: optuna.Study) -> None:
    """What was measured of the best before says nothing of it."""

    def measure(trial: int) -> None:
        for seed in (0, 1):
            store.final(FinalRow("search", trial, seed, 7, "loss", 0.5, 0.5, 0.5))

    measure(ran(store, study, 0.5, plan("a")))
    assert status(store, now(store)).measured == (2, 0)
    better = ran(store, study, 0.3, plan("b"))
    assert status(store, now(store)).measured == (0, 2)
    measure(better)
    assert status(store, now(store)).measured == (2, 0)
