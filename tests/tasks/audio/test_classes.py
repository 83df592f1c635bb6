"""A class for each recording: Resemblyzer's LSTM, and models of the user's own."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import autolora
from autolora.errors import (
    BadValue,
    CannotHear,
    CodeNotAllowed,
    NothingLeft,
    SoundTooLong,
    UnknownName,
    UnreadableSound,
)
from autolora.space.read import find, read_yaml
from autolora.space.spec import SpaceSpec
from autolora.tasks.audio import task
from autolora.training.evaluate import answered

SIZES = {"train": 15, "valid": 5, "test": 10}


class Meaned(nn.Module):
    """The mean of frames, and a layer on it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(20, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, frames, lengths):
        return self.last(torch.tanh(self.first(frames.sum(1) / lengths[:, None])))


@pytest.fixture
def code(monkeypatch):
    module = ModuleType("of_my_own")
    module.model = Meaned
    monkeypatch.setitem(sys.modules, "of_my_own", module)
    return {
        "model": "of_my_own:model",
        "features": {"kind": "log_mel", "bands": 20, "rate": 8000},
        "head": ["last"],
    }


def resemblyzer(table, **options):
    data = {"path": str(table), "splits": SIZES}
    return task({"model": "resemblyzer", "data": data, **options})


@pytest.fixture
def made(voices, table):
    return resemblyzer(table)


def test_the_splits_share_no_speaker_and_keep_the_protocol(made):
    assert {split: made.examples(split) for split in SIZES} == SIZES
    assert made.classes == 3
    assert list(made.metrics) == ["loss", "accuracy", "f1_score"]
    batch = next(made.batches("train", batch_size=4, seed=0))
    assert batch.inputs.frames.shape == (4, batch.lengths.max(), 40)
    assert batch.weights.tolist() == [1.0] * 4
    seen = [int(i) for b in made.batches("train", batch_size=4, seed=1) for i in b.examples]
    assert sorted(seen) == list(range(15))


def test_padding_changes_nothing(made):
    model = made.model().double()
    batch = next(made.batches("train", batch_size=6))
    frames = batch.inputs.frames.double()
    together = model(frames, batch.lengths)
    for row, length in enumerate(batch.lengths.tolist()):
        alone = model(frames[row : row + 1, :length], batch.lengths[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], rtol=1e-9, atol=1e-12)
    frames[torch.arange(frames.shape[1]) >= batch.lengths[:, None]] = 7.0
    torch.testing.assert_close(model(frames, batch.lengths), together, rtol=0, atol=0)


def test_packed_sequences_give_the_same(made):
    """Scores and gradients, of which the network has its own, quicker way."""
    model = made.model().double()
    batch = next(made.batches("train", batch_size=6))
    frames, lengths = batch.inputs.frames.double(), batch.lengths
    packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
    wanted = model.head(model.lstm(packed)[1][0][-1])
    scores = model(frames, lengths)
    torch.testing.assert_close(scores, wanted, rtol=1e-9, atol=1e-12)
    weights = list(model.lstm.parameters())
    own, packs = (torch.autograd.grad(s.square().sum(), weights) for s in (scores, wanted))
    torch.testing.assert_close(own, packs, rtol=1e-7, atol=1e-12)


def test_the_seed_decides_the_head_alone(made):
    torch.manual_seed(0)
    one, same_draw = made.model(), torch.get_rng_state()
    two = made.model()
    torch.manual_seed(0)
    again = made.model()
    assert torch.equal(torch.get_rng_state(), same_draw)
    assert torch.equal(one.head.weight, again.head.weight)
    assert not torch.equal(one.head.weight, two.head.weight)
    assert torch.equal(one.lstm.weight_hh_l2, two.lstm.weight_hh_l2)


def test_an_adapter_of_the_recurrent_matrices_learns(made):
    torch.manual_seed(0)
    model = made.model()
    found = [t for t in autolora.targets(model) if t.layer == "lstm"]
    assert len(found) == 24
    space = read_yaml(find("speech-rnn", "search_spaces"), SpaceSpec).resolve(found)
    assert len(space.distributions) == 6 + 1
    attached = autolora.attach(model, autolora.Allocation.uniform(found, 2), scale=1.0)
    attached.also_train(*made.head)
    optimizer = torch.optim.AdamW(list(attached.parameters()), lr=1e-2)
    before = answered(model, made, "test", final=True)
    for epoch in range(6):
        for batch in made.batches("train", batch_size=5, seed=epoch):
            optimizer.zero_grad()
            made.loss(model, batch).backward()
            optimizer.step()
    after = answered(model, made, "test", final=True)
    assert made.metrics["loss"](after) < 0.5 * made.metrics["loss"](before)
    assert made.metrics["accuracy"](after) > 0.8
    assert len(after.predicted) == 10


def test_rare_classes_count_as_much_as_others(voices, manifest):
    rows = [(200, 0.3)] * 8 + [(500, 0.31)] * 4 + [(1200, 0.32)] * 2
    rows = [(pitch, seconds + 0.01 * n) for n, (pitch, seconds) in enumerate(rows)]
    table = {s: str(manifest(rows, f"{s}.csv")) for s in ("train",)}
    valid = [(pitch, seconds + 0.3) for pitch, seconds in rows]
    test = [(pitch, seconds + 0.6) for pitch, seconds in rows]
    table |= {"valid": str(manifest(valid, "v.csv")), "test": str(manifest(test, "t.csv"))}
    columns = {"group": "audio"}
    made = task(
        {
            "model": "resemblyzer",
            "data": {**table, "columns": columns},
            "class_weights": "balanced",
        }
    )
    weights = next(made.batches("train", batch_size=14)).weights
    labels = next(made.batches("train", batch_size=14)).targets
    sums = [weights[labels == label].sum().item() for label in range(3)]
    assert sums == pytest.approx([14 / 3] * 3)
    assert next(made.batches("valid", batch_size=14)).weights.tolist() == [1.0] * 14


def test_what_decides_results_decides_the_fingerprint(voices, table):
    plain = resemblyzer(table).fingerprint()
    assert resemblyzer(table).fingerprint() == plain
    assert resemblyzer(table, seconds=2).fingerprint() != plain


def test_code_of_the_users_own(code, table):
    data = {"path": str(table), "splits": SIZES}
    with pytest.raises(CodeNotAllowed):
        task({**code, "data": data})
    made = task({**code, "data": data}, allow_code=True)
    torch.manual_seed(0)
    one, two = made.model(), made.model()
    assert torch.equal(one.first.weight, two.first.weight)
    assert not torch.equal(one.last.weight, two.last.weight)
    assert made.loss(one, next(made.batches("train", batch_size=3))).isfinite()
    with pytest.raises(UnknownName, match=r'module of the model called "lst".*last'):
        task({**code, "head": ["lst"], "data": data}, allow_code=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "resemblyzer", "features": {"kind": "mel"}}, "`features` goes with"),
        ({"model": "resemblyzer", "head": ["head"]}, "`head` goes with"),
        ({"model": "torchaudio:wav2vec2_base"}, "`weights` goes with"),
        ({"model": "a:b"}, "`features` goes with"),
        ({"model": "resemblyzer", "vocabulary": "model"}, "`vocabulary` goes with"),
        ({"model": "x", "objective": "ctc", "too_long": "cut"}, "a recording that is cut"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, says):
    with pytest.raises(BadValue, match=says):
        task({"data": "spoken_digits", **options})


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        ("resemblyzer", "ctc"),
        ("resemblyzer", "transcription"),
        ("whisper_tiny_en", "classification"),
        ("whisper_tiny_en", "ctc"),
    ],
)
def test_a_model_that_cannot_do_it(voices, table, model, objective):
    with pytest.raises(CannotHear, match=f'{model} has no part for the objective "{objective}"'):
        task(
            {"model": model, "objective": objective, "data": {"path": str(table), "splits": SIZES}}
        )


def test_a_file_that_is_no_sound_names_its_row(voices, table):
    (table.parent / "table-4.wav").write_bytes(b"RIFF\x10\0\0\0WAVEno sound")
    with pytest.raises(UnreadableSound, match=r"table-4\.wav \(line 6 of .*table\.csv\)"):
        resemblyzer(table)


def test_recordings_that_are_too_long(voices, manifest):
    rows = [((200, 500, 1200)[n % 3], 1.1 + 0.01 * n) for n in range(18)]
    data = {"path": str(manifest(rows)), "splits": {"train": 6, "valid": 6, "test": 6}}
    options = {"model": "resemblyzer", "data": data, "seconds": 1}
    with pytest.raises(SoundTooLong, match=r"\(line \d+ of .*csv\) lasts 1\.\d\d s.* hears 1 s"):
        task(options)
    with pytest.raises(NothingLeft, match="split train is longer than 1 s"):
        task({**options, "too_long": "drop"})
    assert task({**options, "too_long": "cut"}).splits["train"].clips.lengths.tolist() == [101] * 6
