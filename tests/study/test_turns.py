"""A process that is frozen in its turn stops nobody for long, and nothing is done twice."""

import multiprocessing
import signal
import subprocess
import time
from pathlib import Path

import pytest
from made import Act, sqlite_only

from autolora.errors import TurnLost
from autolora.study import turnfile, turns
from autolora.study.register import change, read
from autolora.study.store import Store
from autolora.study.wish import want


def frozen(actor: "subprocess.Popen[str]") -> bool:
    deadline = time.monotonic() + 60
    stat = Path(f"/proc/{actor.pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return True


def one_more(note: dict[str, int]) -> dict[str, int]:
    return {"count": note.get("count", 0) + 1}


def test_a_turn_is_taken_from_a_frozen_process_which_then_does_its_work_again(
    store: Store, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "FROZEN_SECONDS", 1.0)
    actor = act("turn")
    assert actor.stdout
    assert actor.stdout.readline() == "ready\n"
    assert frozen(actor)
    began = time.monotonic()
    change(store, "test", one_more)
    assert time.monotonic() - began > 0.5, "it had to wait"
    assert read(store, "test") == {"count": 1}
    actor.send_signal(signal.SIGCONT)
    assert actor.stdout.readline() == "2\n", "it found out, and began again"
    assert actor.wait(60) == 0
    assert read(store, "test") == {"count": 2}


@pytest.mark.postgres
@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_server_ends_the_transaction_of_a_frozen_process(store: Store, act: Act) -> None:
    actor = act("transaction")
    assert actor.stdout
    assert actor.stdout.readline() == "ready\n"
    assert frozen(actor)
    began = time.monotonic()
    want(store, "stop")
    assert time.monotonic() - began < 30, "not the statement's limit, after which it tries again"
    actor.send_signal(signal.SIGCONT)
    assert actor.wait(60) != 0, "it cannot write any more"
    assert want(store, "run") == "stop"


@sqlite_only
def test_nothing_is_committed_in_a_turn_whose_file_another_has_put_in_place(store: Store) -> None:
    path = turnfile.place(Path(store.storage.url.removeprefix("sqlite:///")))

    def of_another(note: dict[str, int]) -> dict[str, int]:
        other = path.with_suffix(".other")
        other.touch()
        other.replace(path)
        return one_more(note)

    def late() -> None:
        optuna = store.storage.optuna
        with store.storage.turn():
            of_another({})
            optuna.set_study_user_attr(optuna.get_study_id_from_name(store.name), "late", 1)

    with pytest.raises(TurnLost):
        late()
    assert "late" not in store.optuna_study().user_attrs
    change(store, "test", one_more)
    assert read(store, "test") == {"count": 1}, "outside of it nothing is lost"


def counting(address: str, times: int) -> None:
    from autolora.study.storage import open_storage

    storage = open_storage(address, create=False)
    for _ in range(times):
        change(Store(storage, "digits"), "test", one_more)
    storage.close()


@sqlite_only
def test_turns_of_many_processes_lose_no_count_though_some_take_them_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a patience that is far too short, turns are taken from processes that are well."""
    monkeypatch.setattr(turns, "FROZEN_SECONDS", 0.001)
    forked = multiprocessing.get_context("fork")
    crowd = [forked.Process(target=counting, args=(store.storage.url, 15)) for _ in range(4)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(120)
    assert [each.exitcode for each in crowd] == [0] * 4
    assert read(store, "test") == {"count": 60}
    assert list(Path(turnfile.place(Path(store.storage.url[10:]))).parent.glob("*-turn.*")) == []
