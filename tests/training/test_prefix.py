"""Training from kept activations gives the weights that training without them gives."""

import copy

import pytest
import torch
from prefix_models import CPU, Rows, trained
from torch import nn
from torch.nn import functional as F

from autolora.errors import FetchFailed, OtherPath
from autolora.lora import attach
from autolora.training.prefix import Prefix

PLENTY = 10**9


def same(model, task, adapted, head=(), *, below=(), steps=5, folder=None):
    """Trains twice; gives what the cached training was."""
    plain = trained(copy.deepcopy(model), task, adapted, head, count=below, steps=steps)
    prefix = Prefix(PLENTY, folder)
    cached = trained(model, task, adapted, head, prefix=prefix, count=below, steps=steps)
    assert cached.replay is not None, cached.prefix.notes
    assert set(cached.replay.splits) == {"train", "valid"}, cached.prefix.notes
    for name, value in plain.state.items():
        torch.testing.assert_close(cached.state[name], value, rtol=1e-10, atol=1e-10, msg=name)
    assert cached.losses == pytest.approx(plain.losses, rel=1e-10)
    assert plain.losses[0] != plain.losses[-1]
    assert all(plain.ran.values())
    assert not any(cached.ran.values())
    return cached


def vectors(count=30, width=6, **options):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, width, generator=generator, dtype=torch.float64)
    labels = (inputs[:, 0] > 0).long()
    return Rows({"x": inputs}, labels, lambda model, given: model(given["x"]), **options)


def sentences(call, count=30, vocabulary=100, longest=9):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, longest + 1, (count,), generator=generator)
    mask = (torch.arange(longest) < lengths[:, None]).long()
    words = torch.randint(1, vocabulary, (count, longest), generator=generator) * mask
    return Rows({"words": words, "mask": mask}, words[:, 0] % 2, call, lengths=lengths)


def pretrained(name):
    from autolora.data.models import build

    try:
        return build(name)
    except FetchFailed as error:
        pytest.skip(str(error))


def still(model):
    """The model without dropout."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.double()


@pytest.mark.slow
def test_mobilenet_on_digits():
    model = pretrained("mobilenet_v2").double()
    from autolora.data.digits import digits

    images = digits(32)
    inputs = images.pixels[:13].double().expand(-1, 3, -1, -1) / 255
    task = Rows({"x": inputs}, images.labels[:13], lambda net, given: net(given["x"]), valid=4)
    lower = [f"features.{n}.conv.0.0" for n in range(2, 14)]
    upper = ["features.14.conv.0.0", "features.15.conv.2"]
    cached = same(model, task, upper, ["classifier.1"], below=lower, steps=3)
    # The output of the block below serves both the expansion and, in other blocks, the skip.
    (kept,) = cached.replay.splits["train"].kept.values()
    batch = next(task.batches("train", batch_size=4))
    assert kept.read(batch.examples, None, CPU).shape == (4, 96, 2, 2)


class Sentence(nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert, self.head = bert, nn.Linear(384, 2).double()

    def forward(self, words, mask):
        states = self.bert(input_ids=words, attention_mask=mask).last_hidden_state
        return self.head((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


def test_minilm_with_padding():
    model = Sentence(still(pretrained("minilm")))
    task = sentences(lambda net, given: net(given["words"], given["mask"]), count=22)
    lower = ["bert.embeddings.LayerNorm", *(f"bert.encoder.layer.{n}.output" for n in range(4))]
    adapted = ["bert.encoder.layer.4.attention.self.query", "bert.encoder.layer.5.output.dense"]
    cached = same(model, task, adapted, ["head"], below=lower, steps=3)
    recorded = cached.replay.splits["train"]
    steps = int(task.lengths[:10].sum())
    assert recorded.bytes == steps * 384 * 8  # one tensor, without padding


@pytest.mark.slow
def test_whisper_reads_its_encoder_in_every_layer():
    from autolora.data.whisper import whisper_tiny_en

    try:
        model = still(whisper_tiny_en(1))
    except FetchFailed as error:
        pytest.skip(str(error))
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "mel": torch.randn(13, 80, 100, generator=generator, dtype=torch.float64),
        "words": torch.randint(0, 50_000, (13, 5), generator=generator),
    }

    def call(net, given):
        found = net.model(given["mel"], decoder_input_ids=given["words"])
        return found.last_hidden_state[:, -1, :3]

    task = Rows(inputs, inputs["words"][:, 0] % 3, call, valid=4)
    lower = ["model.encoder.conv1", "model.encoder.layers.3.fc1", "model.decoder.layers.1.fc2"]
    same(model, task, ["model.decoder.layers.2.encoder_attn.k_proj"], below=lower, steps=3)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower = nn.LSTM(6, 8, batch_first=True)
        self.upper = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        states, _ = self.lower(x)
        return self.head(self.upper(states)[0][:, -1])


class Skipping(nn.Module):
    """Down and up again, with what was on the way down."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.down = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.GELU())
        self.deep = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        first = self.first(x)
        up = self.up(self.deep(self.down(first)).relu_())
        return self.last(torch.cat([first, up], 1)).mean((2, 3))


class Twice(nn.Module):
    """Reads an early output beside the first trained layer and at the end."""

    def __init__(self):
        super().__init__()
        self.early = nn.Linear(6, 8)
        self.between = nn.Linear(8, 8)
        self.trained = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        early = self.early(x)
        return self.head(self.trained(self.between(early).tanh()) + early * early.shape[1])


def test_a_recurrent_network():
    torch.manual_seed(0)
    series = torch.randn(30, 5, 6, dtype=torch.float64)
    task = Rows({"x": series}, (series.sum((1, 2)) > 0).long(), lambda net, given: net(given["x"]))
    cached = same(Recurrent().double(), task, ["upper"], ["head"], below=[])
    assert set(cached.replay.splits["train"].kept) == {("lower", 0)}  # its last state is not used


def test_skips_over_the_trained_part():
    torch.manual_seed(0)
    images = torch.randn(30, 1, 8, 8, dtype=torch.float64)
    task = Rows({"x": images}, (images[:, 0, 0, 0] > 0).long(), lambda net, g: net(g["x"]))
    cached = same(Skipping().double(), task, ["deep"], ["last"], below=["first.0", "down.1"])
    assert set(cached.replay.splits["train"].kept) == {("first", 0), ("down", 0)}


def test_an_early_output_that_is_read_twice():
    torch.manual_seed(0)
    cached = same(Twice().double(), vectors(), ["trained"], ["head"])
    assert set(cached.replay.splits["train"].kept) == {("early", 0), ("between", 0)}


def chain(*lower):
    torch.manual_seed(0)
    return nn.Sequential(*lower, nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def test_what_only_other_kept_modules_read_is_not_kept():
    model = chain(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8))
    cached = same(model, vectors(), ["3"], ["5"])
    assert set(cached.replay.splits["train"].kept) == {("2", 0)}


def test_dropout_below_ends_the_cut_in_training_alone():
    lower = [nn.Sequential(nn.Linear(6, 8), nn.Tanh()), nn.Dropout(0.5), nn.Linear(8, 8)]
    cached = same(chain(*lower), vectors(), ["3"], ["5"], below=["0.0"])
    assert set(cached.replay.splits["train"].kept) == {("0", 0)}
    assert set(cached.replay.splits["valid"].kept) == {("2", 0)}


def test_frozen_statistics_are_exact():
    lower = [nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8))]
    same(chain(*lower), vectors(), ["1"], ["3"], below=["0.0", "0.1"])


def test_statistics_of_the_batch_end_the_cut():
    lower = [nn.Linear(6, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 8)]
    cached = same(chain(*lower), vectors(), ["3"], ["5"])
    assert set(cached.replay.splits["train"].kept) == {("0", 0)}


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def test_a_module_that_mixes_examples_in_its_own_way_is_found_out():
    model = chain(nn.Linear(6, 8), Centred())
    prefix = Prefix(PLENTY)
    assert trained(model, vectors(), ["2"], ["4"], prefix=prefix).replay is None
    assert "off, because what 1 gives an example is" in prefix.notes["train"]


class Mean(nn.Module):
    """Looks at padding."""

    def __init__(self):
        super().__init__()
        self.words, self.trained = nn.Embedding(100, 8), nn.Linear(8, 2)

    def forward(self, words, mask):
        return self.trained(self.words(words)).mean(1)


def test_a_model_that_looks_at_padding_is_found_out():
    prefix = Prefix(PLENTY)
    task = sentences(lambda net, given: net(given["words"], given["mask"]))
    assert trained(Mean().double(), task, ["trained"], prefix=prefix).replay is None
    assert "off, because the loss from kept activations is" in prefix.notes["train"]


def test_a_module_that_is_called_again_runs_again():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.lower, self.act = nn.Linear(6, 8), nn.Tanh()
            self.trained, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.head(self.act(self.trained(self.act(self.lower(x)))))

    torch.manual_seed(0)
    cached = same(Shared().double(), vectors(), ["trained"], ["head"])
    assert set(cached.replay.splits["train"].kept) == {("lower", 0)}


def test_nothing_lies_below_the_first_layer():
    prefix = Prefix(PLENTY)
    assert trained(chain(nn.Linear(6, 8)), vectors(), ["0"], prefix=prefix).replay is None
    assert prefix.notes["train"].startswith(
        "off, because nothing that can be kept comes before 0 is"
    )


def test_a_parent_that_reads_a_trained_weight_itself():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.trained, self.after, self.head = (nn.Linear(n, 6) for n in (6, 6, 6))

        def forward(self, x):
            return self.head(self.after(F.linear(x, self.trained.weight).detach() + x))

    prefix = Prefix(PLENTY)
    assert (
        trained(Reader().double(), vectors(), ["trained"], ["head"], prefix=prefix).replay is None
    )


def test_a_budget_too_small_is_told():
    prefix = Prefix(18 * 8 * 8 + 100)  # enough for train, not for both
    cached = trained(chain(nn.Linear(6, 8)), vectors(), ["1"], ["3"], prefix=prefix)
    assert set(cached.replay.splits) == {"train"}
    assert prefix.notes["valid"].startswith("off, because it would take 0.0 MB")


def test_batches_changed_at_random_are_not_kept():
    prefix = Prefix(PLENTY)
    task = vectors(augmented=True)
    cached = trained(chain(nn.Linear(6, 8)), task, ["1"], ["3"], prefix=prefix)
    assert set(cached.replay.splits) == {"valid"}


def test_activations_in_a_mapped_file(tmp_path):
    cached = same(chain(nn.Linear(6, 8), nn.Tanh()), vectors(), ["2"], folder=tmp_path / "kept")
    assert cached.replay is not None
    assert list((tmp_path / "kept").iterdir()) == []  # files without a name go with the process


def test_trials_share_what_is_kept_and_have_equal_bits():
    prefix, task = Prefix(PLENTY), vectors()
    model = chain(nn.Linear(6, 8), nn.Tanh())
    first = trained(copy.deepcopy(model), task, ["2"], ["4"], prefix=prefix)
    once = prefix.example_passes
    again = trained(copy.deepcopy(model), task, ["2"], ["4"], prefix=prefix)
    # Two tapes a split and a check of 8 examples; recorded once.
    assert once == 2 * 5 + 8 * 4 + 8 * 2 + 30
    assert prefix.example_passes == 2 * once - 30
    assert first.losses == again.losses
    held = [trial.replay.splits["train"] for trial in (first, again)]
    assert held[0] is held[1]


def test_what_was_used_longest_ago_makes_room():
    task = vectors()
    prefix = Prefix(30 * 8 * 8)  # one cut of both splits
    model = chain(nn.Linear(6, 8), nn.Tanh())
    for adapted in (["2"], ["4"], ["2"]):
        assert set(trained(copy.deepcopy(model), task, adapted, prefix=prefix).replay.splits) == {
            "train",
            "valid",
        }


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    model, task = chain(nn.Linear(6, 8), nn.Tanh()), vectors()
    attach(model, {"2.weight": 2})
    model[0].train(False)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    modes = [module.training for module in model.modules()]
    own = [set(module.__dict__) for module in model.modules()]
    replay = Prefix(PLENTY).prepare(model, ["2"], task, CPU)
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in model.modules()] == modes
    batch = next(task.batches("train", batch_size=4))
    try:
        with replay.on(model, batch, "train"):
            assert "forward" in model[1].__dict__
            assert not fails or 1 // 0
    except ZeroDivisionError:
        pass
    assert [set(module.__dict__) for module in model.modules()] == own


def test_another_path_is_told_and_not_taken():
    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.trained = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 2)
            self.mood = False

        def forward(self, x):
            a = self.a(x)
            b = self.b(a)
            return self.trained(a + b if self.mood else b)

    torch.manual_seed(0)
    model, task = Moody().double(), vectors()
    attach(model, {"trained.weight": 2})
    replay = Prefix(PLENTY).prepare(model, [], task, CPU)
    batch = next(task.batches("train", batch_size=4))
    model.mood = True
    with replay.on(model, batch, "train"), pytest.raises(OtherPath, match="a lies below"):
        task.loss(model, batch)


def test_half_precision_is_kept_as_it_was_made():
    model, task = chain(nn.Linear(6, 8)).float(), vectors()
    task.inputs = {"x": task.inputs["x"].float()}
    prefix = Prefix(PLENTY)
    attach(model, {"1.weight": 2})
    with torch.autocast("cpu", torch.bfloat16):
        replay = prefix.prepare(model, [], task, CPU)
    (kept,) = replay.splits["train"].kept.values()
    assert kept.layout.dtype == torch.bfloat16
