"""The head that trials start from: the best on the frozen base."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from autolora.errors import NoFeatures
from autolora.lora import Allocation
from autolora.space.proposal import Proposal
from autolora.tasks.image import task
from autolora.training.evaluate import answered, values
from autolora.training.fit import Run, train
from autolora.training.prefix import Prefix
from autolora.training.probe import probe_head
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared

pytestmark = pytest.mark.usefixtures("digits_file", "weights_file")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(request):
    splits = {"train": 200, "valid": 100, "test": 20}
    data = {"path": "digits", "splits": splits}
    return task({"model": "mobilenet_v2", "data": data, "image_size": 32})


def test_it_is_better_than_the_head_trained_step_by_step(digits):
    model = digits.model()
    before = {name: w.clone() for name, w in model.state_dict().items()}
    prefix = Prefix(10**8)
    state = probe_head(digits, model, CPU, prefix)
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert prefix.example_passes < 2 * 300  # the features once, and what the checks take
    assert set(state) == {"classifier.1.weight", "classifier.1.bias"}
    model.load_state_dict(state, strict=False)
    probed = values(digits.metrics, answered(model, digits, "valid", final=False))["loss"]

    settings = TrainingSettings(steps=100, batch_size=32, evaluations=5)
    tuned = min(
        train(Run(digits, Proposal(Allocation(), rate), settings, 0), Shared()).loss
        for rate in (1e-3, 1e-2)
    )
    assert probed < tuned * 1.05


def test_it_minimises_what_it_says(digits):
    """The gradient of the penalised loss at the weakest penalty's end is small."""
    model = digits.model().eval()
    state = probe_head(digits, model, CPU, Prefix(10**8))
    weight, bias = state["classifier.1.weight"], state["classifier.1.bias"]
    batch = next(iter(digits.batches("train", batch_size=200)))
    with torch.no_grad():
        features = model.features(digits.call.inputs(batch.inputs)).mean((2, 3))
    scores = features @ weight.T + bias
    found = cross_entropy(scores, batch.targets)
    assert found < 0.8 * cross_entropy(torch.zeros_like(scores), batch.targets)


def test_every_trial_starts_from_it_and_it_is_paid_once(digits):
    settings = TrainingSettings(steps=2, batch_size=32, evaluations=1, head_start="probe")
    shared = Shared()
    proposal = Proposal(Allocation({"features.18.0.weight": 1}), 1e-5)
    first, second = (train(Run(digits, proposal, settings, seed), shared) for seed in (0, 1))
    plain = replace(digits)
    assert plain.fingerprint() == digits.fingerprint()
    steps = 2 * 2 * 32 + 100
    assert second.ledger.example_passes == steps
    assert first.ledger.example_passes > steps + 300
    other = train(Run(digits, proposal, settings, 1), Shared())
    assert other.adapter.digest == second.adapter.digest  # whoever comes first
    heads = [fitted.adapter.full["classifier.1.weight"] for fitted in (first, second)]
    torch.testing.assert_close(*heads, atol=1e-3, rtol=1e-2)


def test_features_that_cannot_be_kept_are_told(digits):
    with pytest.raises(NoFeatures, match="head_start: random"):
        probe_head(digits, digits.model(), CPU, Prefix(1000))
