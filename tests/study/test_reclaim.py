import signal
import subprocess
import sys
import time

import optuna
import pytest
from made import DISTRIBUTIONS, YOUNG, Act, outcome, plan, ran
from optuna.trial import TrialState
from sqlalchemy import update

from autolora.study import lease
from autolora.study.lease import Tenure
from autolora.study.records import attempts
from autolora.study.store import Store


def killed_when_ready(actor: "subprocess.Popen[str]") -> None:
    assert actor.stdout
    assert actor.stdout.readline() == "ready\n"
    actor.send_signal(signal.SIGKILL)
    # Not waited for: a zombie counts as gone.
    while lease.started(actor.pid) is not None:
        time.sleep(0.01)


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def test_a_killed_worker_s_trial_is_tried_again_once(
    store: Store, study: optuna.Study, act: Act
) -> None:
    done = ran(store, study, 0.5, plan("done"))
    study.enqueue_trial({"rank.all": 3, "learning_rate": 5e-3}, user_attrs={"arm": "uniform 4"})
    actor = act("train")
    killed_when_ready(actor)
    live = store.ask(study, DISTRIBUTIONS).number
    store.claim(live, plan("other"))

    assert store.reclaim() == [1]
    assert store.reclaim() == []
    assert states(study) == ["COMPLETE", "FAIL", "RUNNING", "WAITING"]
    again = store.ask(study, DISTRIBUTIONS)
    assert again.params == {"rank.all": 3, "learning_rate": 5e-3}
    assert again.user_attrs == {"arm": "uniform 4", "attempt": 2, "retry_of": 1}
    # What the dead one had claimed is free again.
    assert store.claim(again.number, plan("same", arm="uniform 4")).state == "new"
    store.finish(again.number, outcome(0.4))
    store.finish(live, outcome(0.6))
    rows = store.results().trials
    assert [row.reason for row in rows] == [None, "worker died", None, None]
    assert rows[done].loss == 0.5
    assert "RUNNING" not in states(study)


def test_a_trial_whose_asker_was_killed_is_not_left_running(
    store: Store, study: optuna.Study, act: Act
) -> None:
    study.enqueue_trial({"rank.all": 2})
    killed_when_ready(act("ask"))
    assert states(study) == ["RUNNING"]
    assert store.reclaim() == [0]
    assert store.ask(study, DISTRIBUTIONS).params["rank.all"] == 2
    assert states(study) == ["FAIL", "RUNNING"]


def test_a_result_stored_but_not_told_is_not_repeated(
    store: Store, study: optuna.Study, act: Act
) -> None:
    assert act("half").wait(60) == 0
    assert states(study) == ["RUNNING"]
    assert store.reclaim() == []
    assert states(study) == ["COMPLETE"]
    assert store.results().trials[0].loss == 0.25


def test_a_trial_of_a_living_worker_is_left_alone(
    store: Store, study: optuna.Study, act: Act
) -> None:
    actor = act("train")
    assert actor.stdout
    actor.stdout.readline()
    assert store.reclaim() == []
    assert states(study) == ["RUNNING"]


def test_a_trial_asked_for_elsewhere_has_a_minute_to_be_bound(
    store: Store, study: optuna.Study
) -> None:
    young, old = study.ask(DISTRIBUTIONS).number, study.ask(DISTRIBUTIONS).number
    with store.storage.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE trials SET datetime_start = '2020-01-01 00:00:00' WHERE number = {old}"
        )
    assert store.reclaim() == [old]
    assert store.begin(young)
    assert not store.begin(young)
    assert store.claim(young, plan("a")).state == "new"
    assert store.finish(young, outcome(0.5))


def test_a_worker_on_another_host_is_gone_when_its_lease_has_run_out(
    store: Store, study: optuna.Study
) -> None:
    store.tenure = YOUNG
    number = store.ask(study, DISTRIBUTIONS).number
    for until, expected in ((time.time() + 1, []), (time.time() - 1, [number])):
        with store.storage.engine.begin() as connection:
            connection.execute(update(attempts).values(worker="elsewhere:1:1", lease_until=until))
        assert store.reclaim() == expected
    assert store.results().trials[number].reason == "lease expired"


def test_an_attempt_from_before_there_were_leases_has_an_hour(
    store: Store, study: optuna.Study
) -> None:
    store.tenure = YOUNG
    number = store.ask(study, DISTRIBUTIONS).number
    for seen, expected in ((time.time(), []), (time.time() - 3601, [number])):
        with store.storage.engine.begin() as connection:
            worker = {"worker": "elsewhere:1:1", "lease_until": None, "seen": seen}
            connection.execute(update(attempts).values(worker))
        assert store.reclaim() == expected


def test_what_ends_its_worker_each_time_is_given_up(store: Store, study: optuna.Study) -> None:
    study.enqueue_trial({"rank.all": 2})
    store.tenure = Tenure(retries=2)
    for _ in range(3):
        number = store.ask(study, DISTRIBUTIONS).number
        with store.storage.engine.begin() as connection:
            gone = lease.this_worker().rpartition(":")[0] + f":1@{lease.realm()}"
            connection.execute(update(attempts).values(worker=gone))
        assert store.reclaim() == [number]
    assert study.get_trials(states=(TrialState.WAITING,)) == []
    assert "given up after 3 attempts" in (store.results().trials[-1].reason or "")


def test_an_interruption_is_no_attempt(store: Store, study: optuna.Study) -> None:
    study.enqueue_trial({"rank.all": 2})
    for _ in range(6):
        store.release(store.ask(study, DISTRIBUTIONS).number)
    assert study.trials[-1].state is TrialState.WAITING
    assert study.trials[-1].user_attrs["attempt"] == 1


def test_an_attempt_that_another_program_ended_is_closed(store: Store, study: optuna.Study) -> None:
    first, second = (store.ask(study, DISTRIBUTIONS).number for _ in range(2))
    store.claim(first, plan("a"))
    study.tell(first, state=TrialState.FAIL)
    assert store.claim(second, plan("a")) == ("running", first)
    assert store.reclaim() == []
    assert store.claim(second, plan("a")) == ("new", second)


def test_a_pid_that_was_given_again_is_another_worker() -> None:
    host, pid, began = lease.this_worker().rsplit(":", 2)
    start, _, realm = began.partition("@")
    assert realm == lease.realm()
    assert lease.alive(f"{host}:{pid}:{began}") is True
    assert lease.alive(f"{host}:{pid}:{int(start) - 1}@{realm}") is False


def test_a_pid_means_nothing_after_another_start_or_in_another_container() -> None:
    """Though the host has the same name; and a host of another name may be the same machine."""
    host, pid, began = lease.this_worker().rsplit(":", 2)
    start, _, realm = began.partition("@")
    boot, _, space = realm.partition("-")
    for other in (f"{'0' * 12}-{space}", f"{boot}-{int(space) + 1}", ""):
        for began_at in (int(start), int(start) - 1):
            assert lease.alive(f"{host}:{pid}:{began_at}@{other}") is None
    assert lease.alive(f"{host}:{pid}:{start}") is None, "as an older version wrote it"
    assert lease.alive(f"{host}x:{pid}:{began}") is True


def test_without_proc_a_worker_is_looked_up_on_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "realm", lambda: "")
    host, pid, start = lease.this_worker().rsplit(":", 2)
    assert lease.alive(f"{host}:{pid}:{start}") is True
    assert lease.alive(f"{host}x:{pid}:{start}") is None


def test_two_pid_namespaces_of_one_host_name_do_not_judge_each_other() -> None:
    """A real one, where this user may make one; its process 1 is not ours."""
    words = "from autolora.study import lease; print(lease.this_worker())"
    apart = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", words]
    made = subprocess.run(apart, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip("making a pid namespace is not allowed here")
    there = made.stdout.strip()
    assert there.split(":")[0] == lease.this_worker().split(":")[0]
    assert there.split(":")[1] == "1", "which is alive here too, and another"
    assert lease.alive(there) is None
