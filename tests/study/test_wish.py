"""What people want of the workers of a study."""

import optuna
import pytest
from made import NAME

from autolora.errors import NoSuchStudy, StudyStopped
from autolora.study import wish
from autolora.study.store import Store


def test_a_study_runs_until_somebody_wants_something_else(store: Store) -> None:
    assert wish.wish_of(store) == "run"
    wish.begun(store)
    assert wish.want(store, "pause") == "run"
    assert wish.want(store, "pause") == "pause"
    with pytest.raises(wish.Held):
        wish.begun(store)
    wish.refuse_stopped(store)
    wish.want(store, "stop")
    with pytest.raises(StudyStopped, match=f"autolora resume {NAME}"):
        wish.refuse_stopped(store)
    assert wish.want(store, "run") == "stop"
    wish.refuse_stopped(store)


def test_a_worker_waits_and_says_so_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wish, "LOOK_SECONDS", 0.0)
    said: list[str] = []
    looks = iter(["pause", "pause", "pause", "run"])
    wish.want(store, "pause")

    def say(text: str) -> None:
        said.append(text)

    def slept(seconds: float) -> None:
        assert seconds == 0.0
        wish.want(store, next(looks))  # type: ignore[arg-type]

    monkeypatch.setattr("autolora.study.wish.time.sleep", slept)
    assert wish.goes_on(store, say)
    assert said == [f"paused; to go on: autolora resume {NAME}"]
    wish.want(store, "stop")
    assert not wish.goes_on(store, say)
    assert len(said) == 1


def test_a_study_that_is_not_there(store: Store) -> None:
    with pytest.raises(NoSuchStudy):
        wish.want(Store(store.storage, "another"), "pause")


def test_the_wish_is_of_one_study(store: Store, study: optuna.Study) -> None:
    from made import record

    other = Store(store.storage, "other")
    other.create(record(digest="e" * 64))
    wish.want(other, "pause")
    assert wish.wish_of(store) == "run"
