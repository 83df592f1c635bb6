"""Notes that the workers of a study leave for each other, as attributes of Optuna's study.

They are small, few, and changed in turns: who joined, what is being measured, what is searched.
"""

from collections.abc import Callable
from typing import Any

from autolora.study import clock
from autolora.study.retry import patiently
from autolora.study.store import Store

Note = dict[str, Any]


def now(store: Store) -> float:
    """The time by the clock that all workers of a study share, in seconds since 1970."""

    def look() -> float:
        with store.storage.engine.connect() as connection:
            return clock.read(connection)

    return patiently(store.storage, look)


def read(store: Store, key: str) -> Note:
    """A note; empty if there is none."""

    def look() -> Note:
        optuna = store.storage.optuna
        of = optuna.get_study_id_from_name(store.name)
        return dict(optuna.get_study_system_attrs(of).get(_name(key)) or {})

    return patiently(store.storage, look)


def change(store: Store, key: str, to: Callable[[Note], Note]) -> Note:
    """Changes a note in a turn and gives what it says then.

    Where an answer of the database got lost, `to` is called again, with what it made of the note.
    """

    def write() -> Note:
        with store.storage.turn():
            before = read(store, key)
            after = to(dict(before))
            if after != before:
                optuna = store.storage.optuna
                of = optuna.get_study_id_from_name(store.name)
                optuna.set_study_system_attr(of, _name(key), after)
            return after

    return patiently(store.storage, write)


def _name(key: str) -> str:
    return f"autolora:{key}"
