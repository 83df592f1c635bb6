"""Clients of a study, each with connections of its own: python crowd.py ADDRESS COUNT TRIALS."""

import sys
from concurrent.futures import ThreadPoolExecutor

import made
import optuna

from autolora.study.storage import Storage, open_storage
from autolora.study.store import Store
from autolora.training.curve import CurvePoint


def client(storage: Storage, trials: int) -> None:
    store = Store(storage, made.NAME)
    study = store.optuna_study(optuna.samplers.RandomSampler())
    for _ in range(trials):
        with storage.turn():
            number = store.ask(study, made.DISTRIBUTIONS).number
        assert store.claim(number, made.plan(f"digest {number}")).state == "new"
        assert store.curve(number, [CurvePoint(1, 1.0, 1.0, 1e-3)])
        assert store.finish(number, made.outcome(0.5))


if __name__ == "__main__":
    address, count, trials = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # One after the other: Optuna's lazy imports do not bear several threads at once.
    opened = [open_storage(address, create=False) for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(client, storage, trials) for storage in opened]:
            done.result()
    for storage in opened:
        storage.close()
