"""A task of the user's own, from a module that is written to a folder and imported by name."""

import textwrap

import pytest
import torch

from autolora.errors import BadValue, CodeNotAllowed, NoPredictions, NoSuchTask, UnknownName
from autolora.lora import Allocation, targets
from autolora.space.proposal import Proposal
from autolora.tasks.tensors import task
from autolora.training.evaluate import answered, evaluate
from autolora.training.fit import fit
from autolora.training.settings import TrainingSettings

WRITTEN = """
import torch
from torch import nn
from torch.nn import functional as F

from autolora.training.answers import Answers

class Sums:
    sizes = {"train": 48, "valid": 20, "test": 30}

    def model(self):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def batches(self, split, *, batch_size, seed=None):
        generator = torch.Generator().manual_seed(len(split))
        rows = torch.randn(self.sizes[split], 3, generator=generator)
        if seed is not None:
            rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
        for some in rows.split(batch_size):
            yield {"rows": some, "sum": some.sum(1)}

    def loss(self, model, batch):
        return F.mse_loss(model(batch["rows"]).squeeze(1), batch["sum"])

class Answered(Sums):
    head = ("2",)
    metrics = {"largest": lambda answers: answers.losses.max().item()}

    def answer(self, model, batch, *, final):
        predicted = model(batch["rows"]).squeeze(1)
        losses = (predicted - batch["sum"]).square().double()
        return Answers(losses, torch.ones_like(losses), predicted, batch["sum"])

class WithoutLoss:
    model, batches = Sums.model, Sums.batches

class OddBatches(Sums):
    def batches(self, split):
        return []

class Vectors(Sums):
    def loss(self, model, batch):
        return model(batch["rows"])

class Numbers(Sums):
    def loss(self, model, batch):
        return 1.0

class Words(Sums):
    def batches(self, split, *, batch_size, seed):
        return iter(["a", "b"])

class Empty(Sums):
    sizes = {"train": 48, "valid": 20, "test": 0}

class NoModel(Sums):
    def model(self):
        return "minilm"

number = 5
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    (tmp_path / "sums_of_ours.py").write_text(textwrap.dedent(WRITTEN))
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, **options):
        return task({"entry": f"sums_of_ours:{name}", **options}, allow_code=True)

    return make


def proposal(made):
    base = [target for target in targets(made.model()) if target.layer not in made.head]
    return Proposal(Allocation.uniform(base, 2), learning_rate=3e-2)


@pytest.mark.parametrize("name", ["Sums", "Answered"])
def test_it_trains(made, name):
    ours = made(name)
    settings = TrainingSettings(steps=40, batch_size=16, evaluations=4)
    fitted = fit(ours, proposal(ours), settings, seed=0)
    assert fitted.loss < 0.5 * evaluate(ours.model(), ours, "valid")["loss"].value


def test_what_is_left_out_is_filled_in(made):
    ours = made("Sums")
    assert ours.head == ()
    assert list(ours.metrics) == ["loss"]
    assert [ours.examples(split) for split in ("train", "valid", "test")] == [48, 20, 30]


def test_the_loss_is_measured_example_by_example(made):
    plain, with_answers = made("Sums"), made("Answered")
    model = plain.model()
    one = answered(model, plain, "test", final=True)
    same = answered(model, with_answers, "test", final=True)
    assert torch.allclose(one.losses, same.losses, rtol=1e-5)
    assert torch.equal(one.weights, same.weights)


def test_answers_and_metrics_of_its_own_are_measured_beside_named_ones(made):
    ours = made("Answered", metrics=["pearson_corrcoef"])
    assert ours.head == ("2",)
    found = evaluate(ours.model(), ours, "test")
    assert set(found) == {"loss", "pearson_corrcoef", "largest"}
    assert found["largest"].value > found["loss"].value


def test_a_metric_of_predictions_needs_answers(made):
    ours = made("Sums", metrics=["r2_score"])
    with pytest.raises(NoPredictions):
        evaluate(ours.model(), ours, "test")


def test_the_fingerprint_is_that_of_entry_and_version(made):
    first = made("Sums").fingerprint()
    assert made("Sums").fingerprint() == first
    assert made("Sums", version="2").fingerprint() != first
    assert made("Answered").fingerprint() != first


def test_code_is_refused_unless_it_is_allowed():
    with pytest.raises(CodeNotAllowed, match="--allow-code"):
        task({"entry": "never_imported:anything"})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing", "has no attribute 'missing'"),
        ("number", "it is of type int, no function"),
        ("WithoutLoss", "has no function loss"),
        ("OddBatches", r"batches\(split\) is called otherwise"),
        ("Words", "hold no tensors"),
        ("Empty", '"test" holds no examples'),
    ],
)
def test_what_is_no_task_is_refused_when_it_is_made(made, name, problem):
    with pytest.raises(NoSuchTask, match=problem):
        made(name)


@pytest.mark.parametrize(
    ("name", "problem"), [("Vectors", r"of shape \[48, 1\]"), ("Numbers", "is float, not")]
)
def test_a_loss_that_is_no_scalar_is_refused(made, name, problem):
    ours = made(name)
    batch = next(ours.batches("train", batch_size=48))
    with pytest.raises(NoSuchTask, match=problem):
        ours.loss(ours.model(), batch)


def test_a_model_that_is_no_module_is_refused(made):
    with pytest.raises(NoSuchTask, match="its model is a str"):
        made("NoModel").model()


def test_options_are_checked(made):
    with pytest.raises(NoSuchTask, match="No module named"):
        task({"entry": "not_there_at_all:function"}, allow_code=True)
    with pytest.raises(BadValue):
        task({"entry": "no_colon"}, allow_code=True)
    with pytest.raises(UnknownName):
        made("Sums", metrics=["accurracy"])
