"""What people want of a study's workers: that they run, pause or stop."""

import time
from collections.abc import Callable
from typing import Literal, cast

from sqlalchemy import select, update

from autolora.errors import StudyStopped
from autolora.study.records import studies
from autolora.study.retry import patiently
from autolora.study.store import Store

Wish = Literal["run", "pause", "stop"]
LOOK_SECONDS = 2.0  # between looks at a study that is paused


class Held(Exception):
    """No trial may begin now: the study is paused or stopped."""


def wish_of(store: Store) -> Wish:
    """What is wanted of a study now."""
    query = select(studies.c.wish).where(studies.c.name == store.name)

    def look() -> Wish:
        with store.storage.engine.connect() as connection:
            return cast(Wish, connection.scalar(query) or "run")

    return patiently(store.storage, look)


def want(store: Store, wish: Wish) -> Wish:
    """Asks the workers of a study for something else, and gives what was wanted before.

    It waits for its turn: a trial that began before has begun, and none begins after.

    Raises:
        NoSuchStudy: if there is no such study.
    """
    store.record()
    before = wish_of(store)

    def write() -> None:
        with store.storage.turn(), store.storage.engine.begin() as connection:
            here = studies.c.name == store.name
            connection.execute(update(studies).where(here).values(wish=wish))

    patiently(store.storage, write)
    return before


def begun(store: Store) -> None:
    """Makes sure that a trial may begin; called in a turn.

    Raises:
        Held: if none may.
    """
    if wish_of(store) != "run":
        raise Held


def refuse_stopped(store: Store) -> None:
    """Makes sure that a study was not stopped.

    Raises:
        StudyStopped: if it was.
    """
    if wish_of(store) == "stop":
        raise StudyStopped(store.name)


def goes_on(store: Store, say: Callable[[str], None]) -> bool:
    """Waits while a study is paused and says so once; False if it is stopped."""
    said = False
    while (wanted := wish_of(store)) == "pause":
        if not said:
            say(f"paused; to go on: autolora resume {store.name}")
            said = True
        time.sleep(LOOK_SECONDS)
    return wanted == "run"
