"""A worker that is handed its jobs: it takes a trial over, trains it, stores what came of it."""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import torch

from autolora import backends
from autolora.errors import AddressNotHere, OneMachineOnly
from autolora.study import confirm as confirming
from autolora.study import material, sharing
from autolora.study.handing import take
from autolora.study.location import read_private, read_url, shown
from autolora.study.remote import ADDRESS
from autolora.study.renewing import renewing
from autolora.study.trials import trial_id
from autolora.study.worker import Worker

Payload = Mapping[str, Any]


def trainer(payload: Payload) -> backends.Do:
    """Opens a worker that trains trials."""
    worker = _worker(payload)
    material.check(worker.session, worker.store)
    study = worker.race.optuna_study()

    def train(job: backends.Job, listen: backends.Listen, stopped: backends.Stopped) -> None:
        here = replace(worker, listen=listen, stopped=stopped)
        store = here.store
        if not take(store, job["number"], job["asker"]):
            here.say("said", text=f"trial {job['number']} was taken away before it began")
            return
        with renewing(store.storage, store.name, store.tenure):
            trial = optuna.Trial(study, trial_id(store.storage, store.name, job["number"]))
            here.run(trial, here.race.meant(trial))

    return train


def measurer(payload: Payload) -> backends.Do:
    """Opens a worker that measures finished arms on the test split."""
    worker = _worker(payload)
    jobs = confirming.jobs(worker.session.spec, worker.store.results())

    def measure(job: backends.Job, listen: backends.Listen, stopped: backends.Stopped) -> None:
        del stopped
        here = replace(worker, listen=listen)
        named = [each for each in jobs if (each.arm, each.seed) == (job["arm"], job["seed"])]
        with sharing.next_job(here.store, named) as mine:
            if mine is not None:
                here.measure(mine)

    return measure


def address(payload: Payload) -> str:
    """The address of the database, as a worker may know it.

    One without a password is told. One with a password must be in the worker's own environment, and
    be the same: what a node was set up with decides no study.

    Raises:
        AddressNotHere: if it is not.
    """
    if not payload["secret"]:
        return str(payload["where"])
    own = os.environ.get(ADDRESS) or _in_file(os.environ.get(f"{ADDRESS}_FILE"))
    here = shown(read_url(own)) if own else None
    if own is None or here != payload["where"]:
        raise AddressNotHere(socket.gethostname(), payload["where"], here)
    return own


def _in_file(path: str | None) -> str | None:
    return read_private(Path(path)) if path else None


def _worker(payload: Payload) -> Worker:
    if payload["host"] not in (None, socket.gethostname()):
        raise OneMachineOnly({payload["host"], socket.gethostname()})
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1").partition(",")[0]))
    own = {"url": address(payload), "worker": 0, "workers": 1, "folder": payload["study_folder"]}
    return Worker.of({**payload, **own}, _silent)


def _silent(event: Payload) -> None:
    del event
