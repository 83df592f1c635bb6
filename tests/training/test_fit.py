from dataclasses import replace

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from autolora.errors import Diverged, NoDevice
from autolora.lora import Allocation, select, targets
from autolora.space.proposal import Proposal
from autolora.training.evaluate import answered, values
from autolora.training.fit import fit
from autolora.training.settings import TrainingSettings

SETTINGS = TrainingSettings(steps=24, batch_size=16, evaluations=4, dropout=0.1)


def test_equal_arguments_give_equal_bits(points, proposal):
    one, same, other = (fit(points, proposal, SETTINGS, seed=seed) for seed in (0, 0, 1))
    assert one.adapter.digest == same.adapter.digest
    assert one.curve == same.curve
    assert one.metrics == same.metrics
    assert one.adapter.digest != other.adapter.digest


def test_the_callers_random_numbers_go_on(points, proposal):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    fit(points, proposal, SETTINGS, seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_training_lowers_the_loss_on_both_splits(points, proposal):
    settings = TrainingSettings(steps=120, batch_size=25, evaluations=6)
    fitted = fit(points, proposal, settings, seed=0)
    assert fitted.curve[-1].train_loss < 0.8 * fitted.curve[0].train_loss
    assert fitted.loss < 0.9 * fitted.curve[0].valid_loss
    assert fitted.metrics["accuracy"] > 0.6


def test_the_adapter_is_that_of_the_best_evaluation(points, proposal):
    # Hot and long enough to get worse again before the end, with one of some seeds at least.
    wild = replace(proposal, learning_rate=1.0)
    settings = TrainingSettings(steps=40, evaluations=20, warmup=0.0)
    runs = (fit(points, wild, settings, seed=seed) for seed in range(8))
    fitted = next(run for run in runs if run.curve[-1].valid_loss > run.loss)
    assert fitted.loss == min(point.valid_loss for point in fitted.curve)
    model = points.model()
    fitted.adapter.attach_to(model)
    assert values(points.metrics, answered(model, points, "valid", final=False)) == fitted.metrics
    assert fitted.metrics["loss"] == fitted.loss


def test_statistics_and_weights_of_the_base_stay_as_they_were(points, proposal):
    fit(points, proposal, SETTINGS, seed=0)
    trained = points.models[-1].state_dict()
    fresh = points.model().state_dict()
    changed = {name for name in fresh if not torch.equal(fresh[name], trained[name])}
    assert changed == {"4.weight", "4.bias"}


def test_arms_of_one_seed_start_from_the_same_loss(points, proposal):
    settings = TrainingSettings(steps=2, evaluations=2)
    first = [
        fit(points, replace(proposal, allocation=allocation), settings, seed=3).curve[0].train_loss
        for allocation in (Allocation(), Allocation({"0.weight": 1}), proposal.allocation)
    ]
    assert first[0] == first[1] == first[2]


def test_rank_0_everywhere_trains_the_head_alone(points):
    fitted = fit(points, Proposal(Allocation(), learning_rate=0.1), SETTINGS, seed=0)
    assert fitted.adapter.parameters == 0
    assert set(fitted.adapter.full) == {"4.weight", "4.bias"}
    assert fitted.loss < fitted.curve[0].valid_loss


def test_scale_rule_and_ranks_are_those_proposed(points, proposal):
    ruled = replace(proposal, scale_rule="alpha_over_rank", scale_value=8.0)
    fitted = fit(points, ruled, SETTINGS, seed=0)
    assert fitted.adapter.allocation == proposal.allocation
    assert set(fitted.adapter.scales.values()) == {4.0}


def test_the_curve_tells_step_and_rate(points, proposal):
    settings = TrainingSettings(steps=10, evaluations=3, warmup=0.2)
    curve = fit(points, proposal, settings, seed=0).curve
    assert [point.step for point in curve] == [3, 6, 10]
    assert curve[0].learning_rate == proposal.learning_rate
    assert proposal.learning_rate > curve[1].learning_rate > curve[2].learning_rate > 0


def test_the_ledger_counts_every_pass(points, proposal):
    fitted = fit(points, proposal, SETTINGS, seed=0)
    # 50 examples in batches of 16: every fourth batch holds 2.
    assert fitted.ledger.example_passes == 2 * 6 * 50 + 4 * 30
    assert fitted.ledger.seconds > 0
    assert fitted.ledger.peak_bytes > 50e6


def test_a_watch_sees_every_evaluation_and_may_stop_the_run(points, proposal):
    seen = []

    def watch(point):
        seen.append(point)
        return len(seen) == 2

    fitted = fit(points, proposal, SETTINGS, seed=0, watch=watch)
    assert fitted.stopped
    assert tuple(seen) == fitted.curve
    assert [point.step for point in seen] == [6, 12]
    assert fitted.ledger.example_passes == 2 * 3 * 50 + 2 * 30
    whole = fit(points, proposal, SETTINGS, seed=0, watch=lambda point: False)
    assert not whole.stopped
    assert whole.curve[:2] == fitted.curve


@pytest.mark.parametrize("step", [1, 6, 7, 24])
def test_a_loss_that_is_no_number_is_told_with_its_step(points, proposal, step):
    points.break_at = step
    with pytest.raises(Diverged, match=rf"training loss .* at step {step} \(learning rate"):
        fit(points, proposal, SETTINGS, seed=0)


def test_a_validation_loss_that_is_no_number_is_told(points, proposal):
    hot = replace(proposal, learning_rate=3e37)
    settings = TrainingSettings(steps=1, evaluations=1, warmup=0.0)
    with pytest.raises(Diverged, match=r"validation loss .* at step 1 \(learning rate 3e\+37\)"):
        fit(points, hot, settings, seed=0)


@pytest.mark.parametrize("clip_norm", [1e-2, None])
def test_clipping_bounds_the_gradient_of_every_step(points, proposal, clip_norm):
    norms = []

    def note(optimizer, *arguments):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())

    hook = register_optimizer_step_pre_hook(note)
    try:
        fit(points, proposal, SETTINGS.model_copy(update={"clip_norm": clip_norm}), seed=0)
    finally:
        hook.remove()
    assert len(norms) == 24
    assert (max(norms) <= 1e-2 + 1e-6) == (clip_norm is not None)


def test_half_precision_trains_to_about_the_same_loss(points, proposal):
    full = fit(points, proposal, SETTINGS, seed=0)
    half = fit(points, proposal, SETTINGS.model_copy(update={"precision": "bf16"}), seed=0)
    assert half.loss != full.loss
    assert half.loss == pytest.approx(full.loss, abs=0.05)
    assert {up.dtype for up, _ in half.adapter.factors.values()} == {torch.float32}


def test_auto_is_full_precision_on_a_cpu(points, proposal):
    full = fit(points, proposal, SETTINGS, seed=0)
    auto = fit(points, proposal, SETTINGS.model_copy(update={"precision": "auto"}), seed=0)
    assert auto.adapter.digest == full.adapter.digest


def test_a_device_that_is_not_there_is_told(points, proposal):
    with pytest.raises(NoDevice, match='no device "cuda:99" here'):
        fit(points, proposal, SETTINGS.model_copy(update={"device": "cuda:99"}), seed=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_to_about_the_same_loss(points, proposal):
    cpu = fit(points, proposal, TrainingSettings(steps=24), seed=0)
    gpu = fit(points, proposal, TrainingSettings(steps=24, device="cuda"), seed=0)
    assert gpu.loss == pytest.approx(cpu.loss, abs=0.2)


def test_a_real_network_learns_real_images():
    from autolora.errors import FetchFailed
    from autolora.tasks.image import task

    splits = {"train": 64, "valid": 50, "test": 10}
    try:
        digits = task(
            {
                "model": "mobilenet_v2",
                "data": {"path": "digits", "splits": splits},
                "image_size": 32,
            }
        )
        found = select(targets(digits.model()), [r"re:features\.1\d\..*"], kinds=["pointwise"])
    except FetchFailed as error:
        pytest.skip(str(error))
    settings = TrainingSettings(steps=8, batch_size=32, evaluations=2)
    proposal = Proposal(Allocation.uniform(found, 1), learning_rate=1e-2)
    fitted, again = (fit(digits, proposal, settings, seed=0) for _ in range(2))
    assert fitted.loss < 0.9 * fitted.curve[0].train_loss
    assert fitted.metrics["accuracy"] > 0.2
    assert fitted.adapter.digest == again.adapter.digest
    model = digits.model()
    fitted.adapter.attach_to(model)
    assert values(digits.metrics, answered(model, digits, "valid", final=False)) == fitted.metrics
