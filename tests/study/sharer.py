"""Another process that measures: python sharer.py ADDRESS [forever]."""

import sys
import time

import made

from autolora.study import confirm
from autolora.study.description import described
from autolora.study.results import FinalRow
from autolora.study.sharing import next_job
from autolora.study.storage import open_storage
from autolora.study.store import Store


def main(address: str, *, forever: bool) -> None:
    storage = open_storage(address, create=False)
    store = Store(storage, made.NAME)
    jobs = confirm.jobs(described(made.DESCRIPTION), store.results())
    sys.stdin.readline()
    while True:
        with next_job(store, jobs) as job:
            if job is None:
                break
            sys.stdout.write(f"{job.arm} {job.seed}\n")
            sys.stdout.flush()
            time.sleep(60 if forever else 0.05)
            row = FinalRow(job.arm, job.trial.number, job.seed, 7, "loss", 0.5, 0.4, 0.6)
            assert store.final(row), "it was measured before"
    storage.close()


if __name__ == "__main__":
    main(sys.argv[1], forever="forever" in sys.argv)
