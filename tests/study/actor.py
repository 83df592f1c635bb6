"""Another process that works on the study of a test: python actor.py ADDRESS WHAT."""

import os
import signal
import sys
import time

import made
import optuna
import stepping
from sqlalchemy import update

from autolora.errors import TakenAway
from autolora.study import engines, turns
from autolora.study.lease import Tenure
from autolora.study.records import studies
from autolora.study.register import Note, change
from autolora.study.renewing import renewing
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.study.study import Study
from autolora.training.curve import CurvePoint


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")


class Stuck(optuna.samplers.RandomSampler):
    """Never proposes anything: the trial exists already, and nobody has it yet."""

    def sample_relative(self, *args, **kwargs):
        say("ready")
        time.sleep(60)


def train(store: Store) -> None:
    study = store.optuna_study(optuna.samplers.RandomSampler(seed=1))
    trial = store.ask(study, made.DISTRIBUTIONS)
    store.claim(trial.number, made.plan("same", arm=trial.user_attrs.get("arm", "search")))
    say("ready")
    time.sleep(60)


def ask(store: Store) -> None:
    store.ask(store.optuna_study(Stuck()), made.DISTRIBUTIONS)


def half(store: Store) -> None:
    """Dies between storing a result and telling Optuna."""
    from autolora.study import trials

    study = store.optuna_study(optuna.samplers.RandomSampler(seed=1))
    number = store.ask(study, made.DISTRIBUTIONS).number
    store.claim(number, made.plan("same"))
    with store.storage.engine.begin() as connection:
        trials.write_outcome(connection, store.name, number, made.outcome(0.25))


def frozen(store: Store) -> None:
    """Holds a trial for two seconds at a time, and has its result at a signal."""
    store.tenure = Tenure(lease_seconds=2.0)
    study = store.optuna_study(optuna.samplers.RandomSampler(seed=1))
    with renewing(store.storage, store.name, store.tenure):
        number = store.ask(study, made.DISTRIBUTIONS).number
        store.claim(number, made.plan("same"))
        say("ready")
        sys.stdin.readline()
        points = [CurvePoint(1, 1.0, 1.0, 1e-3)]
        say(store.curve(number, points))
        say(store.keep(number, "same", made.midway()))
        say(store.finish(number, made.outcome(0.1), made.adapter(1)))
        try:
            store.claim(number, made.plan("same"))
        except TakenAway as error:
            say(error)


def turn(store: Store) -> None:
    """Is frozen in its turn, between reading a number and writing one more."""
    turns.FROZEN_SECONDS, turns._SURE_SECONDS = 2.0, 0.5  # of a server; a file counts by who waits
    calls = []

    def count(note: Note) -> Note:
        calls.append(note)
        if len(calls) == 1:
            say("ready")
            os.kill(os.getpid(), signal.SIGSTOP)
        return {"count": note.get("count", 0) + 1}

    change(store, "test", count)
    say(len(calls))


def transaction(store: Store) -> None:
    """Is frozen in a transaction that keeps the row of the study locked."""
    with store.storage.engine.connect() as connection:
        connection.execute(update(studies).values(wish="pause"))
        say("ready")
        os.kill(os.getpid(), signal.SIGSTOP)
        connection.commit()


def lock(store: Store) -> None:
    """Keeps the database locked from one signal to the next."""
    with store.storage.engine.connect() as connection:
        say("ready")
        while sys.stdin.readline():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            say("locked")
            sys.stdin.readline()
            connection.rollback()
            say("open")


def run(store: Store) -> None:
    """Runs the study of stepping.py in this process."""
    Study.create(stepping.spec(), storage=store.storage.url, allow_code=True).run()


def queue(store: Store) -> None:
    """Takes enqueued trials, at a signal."""
    study = store.optuna_study(optuna.samplers.RandomSampler(seed=1))
    say("ready")
    sys.stdin.readline()
    for _ in range(15):
        say(store.ask(study, made.DISTRIBUTIONS).number)


def share(store: Store) -> None:
    """Claims configurations that another process claims too, at a signal."""
    study = store.optuna_study(optuna.samplers.RandomSampler(seed=1))
    say("ready")
    sys.stdin.readline()
    number = store.ask(study, made.DISTRIBUTIONS).number
    for digest in range(12):
        state, owner = store.claim(number, made.plan(f"shared-{digest}"))
        assert (state == "new") == (owner == number)
        if state == "new":
            say(digest)
            store.finish(number, made.outcome(0.5))
            number = store.ask(study, made.DISTRIBUTIONS).number


if __name__ == "__main__":
    if sys.argv[2] == "transaction":
        engines.TRANSACTION_SECONDS = 2
    storage = open_storage(sys.argv[1], create=False)
    globals()[sys.argv[2]](Store(storage, made.NAME))
    storage.close()
