"""Many clients on few connections."""

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from made import DISTRIBUTIONS, NAME, outcome, plan, record
from pgbouncer import SERVER_CONNECTIONS, bounced, missing

from autolora.study.storage import open_storage
from autolora.study.store import Store
from tests.postgres import Server, name_of

CLIENTS, TRIALS, PROCESSES = 100, 5, 10


@pytest.mark.slow
@pytest.mark.postgres
def test_a_hundred_clients_do_five_trials_each(postgres: Server) -> None:
    """Each client is a thread with a storage of its own, as a process would have it."""
    if missing():
        pytest.skip(str(missing()))
    direct = postgres.fresh()
    with bounced(postgres, direct) as address:
        storage = open_storage(address)
        Store(storage, NAME).create(record())
        storage.close()
        words = [sys.executable, str(Path(__file__).with_name("crowd.py")), address]
        words += [str(CLIENTS // PROCESSES), str(TRIALS)]
        crowd = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(PROCESSES)]
        said = [process.communicate(timeout=500)[1].decode() for process in crowd]
        assert [process.returncode for process in crowd] == [0] * PROCESSES, said
        with postgres.connected() as connection:
            used = connection.execute(
                f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name_of(direct)}'"
            ).fetchone()
        assert used[0] <= SERVER_CONNECTIONS
    store = Store(open_storage(direct, create=False), NAME)
    rows = store.results().trials
    assert [row.number for row in rows] == list(range(CLIENTS * TRIALS))
    assert {row.state for row in rows} == {"complete"}
    assert len({row.configuration["learning_rate"] for row in rows}) == 1
    told = store.optuna_study().get_trials(deepcopy=False)
    assert {trial.state for trial in told} == {optuna.trial.TrialState.COMPLETE}
    store.storage.close()
    postgres.drop(direct)


@pytest.mark.postgres
def test_turns_and_a_trial_through_pgbouncer(postgres: Server) -> None:
    if missing():
        pytest.skip(str(missing()))
    direct = postgres.fresh()
    with bounced(postgres, direct) as address:
        storage = open_storage(address)
        store = Store(storage, NAME)
        store.create(record())
        study = store.optuna_study(optuna.samplers.RandomSampler(seed=0))
        for count in range(12):  # from its sixth use on, psycopg would prepare a statement
            with storage.turn():
                number = store.ask(study, DISTRIBUTIONS).number
            store.claim(number, plan(str(count)))
            assert store.finish(number, outcome(0.5))
        with storage.engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1min"
        assert len(store.results().trials) == 12
        storage.close()
    postgres.drop(direct)
