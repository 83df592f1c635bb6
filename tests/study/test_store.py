import math

import optuna
import pytest
from made import DISTRIBUTIONS, NAME, Act, adapter, outcome, plan, ran, record

from autolora.artifacts.adapter import Adapter
from autolora.errors import NameTaken, NoSuchStudy, OtherStudy
from autolora.study.entries import Outcome
from autolora.study.results import FinalRow
from autolora.study.storage import open_storage
from autolora.study.store import Store
from autolora.training.curve import CurvePoint, Ledger


def test_creating_the_same_study_again_changes_nothing(store: Store, study: optuna.Study) -> None:
    ran(store, study, 0.5, plan("a"))
    store.create(record())
    assert store.record() == record()
    assert len(store.results().trials) == 1


def test_another_description_under_the_name_is_refused_by_its_first_difference(
    store: Store,
) -> None:
    changed = {"name": NAME, "budget": {"trials": 9}, "seed": 0}
    with pytest.raises(OtherStudy, match=r"budget\.trials = 4, this one has 9") as caught:
        store.create(record(digest="e" * 64, description=changed))
    assert caught.value.exit_code == 2
    assert store.record() == record()


def test_a_study_made_by_plain_optuna_is_not_taken_over(store: Store) -> None:
    optuna.create_study(study_name="theirs", storage=store.storage.optuna)
    with pytest.raises(NameTaken, match="theirs"):
        Store(store.storage, "theirs").create(record())
    assert not Store(store.storage, "theirs").exists()


def test_an_unknown_study_is_answered_with_the_nearest_name(store: Store) -> None:
    with pytest.raises(NoSuchStudy, match=r'"digitz".*nearest: digits'):
        Store(store.storage, "digitz").results()


def test_a_study_deleted_in_the_dashboard_starts_afresh(store: Store, study: optuna.Study) -> None:
    ran(store, study, 0.5, plan("a"))
    optuna.delete_study(study_name=NAME, storage=store.storage.optuna)
    store.create(record())
    fresh = store.optuna_study(optuna.samplers.RandomSampler(seed=0))
    assert store.results().trials == ()
    assert ran(store, fresh, 0.5, plan("a")) == 0


def test_delete_removes_both_parts(store: Store, study: optuna.Study) -> None:
    ran(store, study, 0.5, plan("a"))
    store.delete()
    assert not store.exists()
    assert optuna.get_all_study_names(store.storage.optuna) == []
    assert store.spent() == Ledger(0, 0.0, 0)


def test_optuna_opens_the_study_as_it_is(
    store: Store, study: optuna.Study, plain: optuna.storages.RDBStorage
) -> None:
    ran(store, study, 0.5, plan("a", rank=1))
    ran(store, study, 0.25, plan("b", rank=4))
    theirs = optuna.load_study(study_name=NAME, storage=plain)
    assert [t.value for t in theirs.trials] == [0.5, 0.25]
    assert theirs.trials[1].user_attrs == {"arm": "search", "parameters": 28, "digest": "b"}
    # Optuna leaves out the one over the budget of 14 parameters.
    assert theirs.best_trial.number == 0
    assert theirs.metric_names == ["loss"]


def test_the_dashboard_sees_the_constraint(store: Store, study: optuna.Study) -> None:
    serializer = pytest.importorskip("optuna_dashboard._serializer")
    ran(store, study, 0.25, plan("b", rank=4))
    trial = study.trials[0]
    assert serializer.serialize_frozen_trial(0, trial, {})["constraints"] == [14]


def test_a_configuration_is_trained_once(store: Store, study: optuna.Study) -> None:
    first, second = (store.ask(study, DISTRIBUTIONS).number for _ in range(2))
    assert store.claim(first, plan("a")) == ("new", first)
    assert store.claim(first, plan("a")) == ("new", first)
    assert store.claim(second, plan("a")) == ("running", first)
    store.finish(first, outcome(0.5), adapter(1))
    assert store.claim(second, plan("a", arm="uniform 1")) == ("finished", first)
    assert store.reuse(second, first)
    row = store.results().trials[second]
    assert (row.state, row.loss, row.reused_from) == ("complete", 0.5, first)
    assert (row.example_passes, row.seconds) == (0, 0.0)
    assert study.trials[second].value == 0.5
    assert store.adapter(second) == store.adapter(first)


@pytest.mark.parametrize(
    ("reason", "again"), [("error: out of memory", "new"), ("diverged", "finished")]
)
def test_a_failure_is_repeated_unless_it_lies_in_the_configuration(
    store: Store, study: optuna.Study, reason: str, again: str
) -> None:
    first, second = (store.ask(study, DISTRIBUTIONS).number for _ in range(2))
    store.claim(first, plan("a"))
    failed = Outcome("failed", Ledger(10, 1.0, 1), reason=reason)
    store.finish(first, failed)
    assert store.claim(second, plan("a")).state == again
    if again == "finished":
        store.reuse(second, first)
        assert store.results().trials[second].reason == "diverged"


def test_a_trial_can_fail_before_it_claims_but_not_have_a_result(
    store: Store, study: optuna.Study
) -> None:
    first, second = (store.ask(study, DISTRIBUTIONS).number for _ in range(2))
    assert store.finish(first, Outcome("failed", Ledger(0, 0.0, 0), reason="error: no memory"))
    assert store.results().trials[first].reason == "error: no memory"
    with pytest.raises(LookupError, match="never claimed"):
        store.finish(second, outcome(0.5))
    assert store.results().trials[second].state == "running"


def test_a_result_that_is_no_number_has_diverged(store: Store, study: optuna.Study) -> None:
    number = ran(store, study, math.inf, plan("a"))
    row = store.results().trials[number]
    assert (row.state, row.reason, row.loss) == ("failed", "diverged", None)
    assert row.seconds == 2.0


def test_a_pruned_trial_is_worth_its_last_report_and_so_is_its_repetition(
    store: Store, study: optuna.Study
) -> None:
    trial, again = store.ask(study, DISTRIBUTIONS), store.ask(study, DISTRIBUTIONS)
    store.claim(trial.number, plan("a"))
    trial.report(0.9, 1)
    trial.report(0.7, 2)
    store.finish(trial.number, outcome(0.7, state="pruned", objectives=()))
    assert store.claim(again.number, plan("a")) == ("finished", trial.number)
    store.reuse(again.number, trial.number)
    for told in study.trials:
        assert (told.state, told.value) == (optuna.trial.TrialState.PRUNED, 0.7)
        assert told.intermediate_values == {1: 0.9, 2: 0.7}


def test_a_curve_is_stored_once_and_keeps_what_is_no_number(
    store: Store, study: optuna.Study
) -> None:
    number = store.ask(study, DISTRIBUTIONS).number
    store.claim(number, plan("a"))
    points = [CurvePoint(10, 1.0, 0.9, 1e-3), CurvePoint(20, math.nan, math.inf, 1e-3)]
    assert store.curve(number, points[:1])
    assert store.curve(number, points)
    first, second = store.results().trials[number].curve
    assert first == points[0]
    assert math.isnan(second.train_loss)
    assert second.valid_loss == math.inf


def test_only_the_best_adapter_of_each_arm_is_kept(store: Store, study: optuna.Study) -> None:
    numbers = {}
    for arm, loss, rank in [
        ("search", 0.5, 1),
        ("search", 0.7, 2),
        ("search", 0.3, 3),
        ("uniform 2", 0.9, 2),
    ]:
        number = store.ask(study, DISTRIBUTIONS).number
        store.claim(number, plan(f"{arm}{loss}", arm=arm))
        store.finish(number, outcome(loss), adapter(rank))
        numbers[loss] = number
    stored = {loss: store.adapter(number) for loss, number in numbers.items()}
    assert [loss for loss, there in stored.items() if there] == [0.3, 0.9]
    assert Adapter.from_bytes(stored[0.3] or b"").allocation == {"0.weight": 3}


def test_of_a_metric_to_maximise_the_highest_is_best(store: Store) -> None:
    other = Store(store.storage, "accuracy")
    other.create(record(objective=("accuracy",), directions=("maximize",)))
    study = other.optuna_study(optuna.samplers.RandomSampler(seed=0))
    for value in (0.5, 0.9, 0.7):
        number = other.ask(study, DISTRIBUTIONS).number
        other.claim(number, plan(str(value)))
        other.finish(number, outcome(value), adapter(1))
    assert other.results().best == 1
    assert [other.adapter(n) is not None for n in range(3)] == [False, True, False]


def test_the_first_measurement_on_the_test_split_stands(store: Store) -> None:
    row = FinalRow("search", 3, 1, 14, "accuracy", 0.9, 0.88, 0.92)
    assert store.final(row)
    assert not store.final(FinalRow("search", 3, 1, 14, "accuracy", 0.95, 0.9, 1.0))
    assert store.finals() == (row,)


def test_a_trial_that_was_taken_away_cannot_be_written(store: Store, study: optuna.Study) -> None:
    number = store.ask(study, DISTRIBUTIONS).number
    store.claim(number, plan("a"))
    store.release(number)
    assert not store.finish(number, outcome(0.1), adapter(1))
    assert not store.curve(number, [CurvePoint(1, 1.0, 1.0, 1e-3)])
    row = store.results().trials[number]
    assert (row.state, row.reason, row.loss, row.curve) == ("failed", "interrupted", None, ())
    assert store.adapter(number) is None


@pytest.mark.parametrize(("what", "count"), [("queue", 30), ("share", 12)])
def test_of_two_processes_one_gets_each_trial_and_each_configuration(
    store: Store, study: optuna.Study, act: Act, what: str, count: int
) -> None:
    if what == "queue":
        for _ in range(count):
            study.enqueue_trial({"rank.all": 1})
    actors = [act(what), act(what)]
    for actor in actors:
        assert actor.stdout
        assert actor.stdout.readline() == "ready\n"
    for actor in actors:
        assert actor.stdin
        actor.stdin.write("go\n")
        actor.stdin.flush()
    lines = [line for actor in actors for line in actor.communicate(timeout=60)[0].split()]
    assert [actor.returncode for actor in actors] == [0, 0]
    assert sorted(map(int, lines)) == list(range(count))


def test_reports_read_while_a_search_writes(
    store: Store, study: optuna.Study, address: str
) -> None:
    number = store.ask(study, DISTRIBUTIONS).number
    store.claim(number, plan("a"))
    reader = open_storage(address, create=False)
    with store.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE autolora_trials SET arm = 'later'")
        assert Store(reader, NAME).results().trials[number].arm == "search"
    assert Store(reader, NAME).results().trials[number].arm == "later"
    reader.close()
