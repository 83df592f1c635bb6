"""Letters frame by frame: the alphabet, the loss, and models that write so."""

import itertools
import math
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from autolora.data.sound.letters import Letters, written
from autolora.errors import EmptyTranscript, UnknownLetters
from autolora.objectives.ctc import objective
from autolora.tasks.audio import task
from autolora.training.batch import Batch
from autolora.training.evaluate import answered

LETTERS = Letters.of(["ab", "b a"])
SIZES = {"train": 15, "valid": 5, "test": 10}


@pytest.mark.parametrize(
    ("text", "case", "punctuation", "wanted"),
    [
        ("  ¡Hola,  Mundo!\n", "as_written", "kept", "¡Hola, Mundo!"),
        ("¡Hola, Mundo!", "lower", "dropped", "hola mundo"),
        ("it's 'fine' - well-made", "upper", "dropped", "IT'S FINE WELL-MADE"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "as_written", "kept", "café"),
        ("¿?", "as_written", "dropped", ""),
    ],
)
def test_transcripts_are_written_alike(text, case, punctuation, wanted):
    assert written(text, case, punctuation) == wanted


@pytest.mark.parametrize("text", ["ab", "aab b", "a"])
def test_texts_go_there_and_back(text):
    assert LETTERS.spelt(LETTERS.encoded(text)) == text


def test_a_letter_that_training_has_not_is_never_right():
    assert LETTERS.spelt(LETTERS.encoded("añb")) == "a\N{REPLACEMENT CHARACTER}b"


def test_a_blank_parts_equal_letters():
    a, b = LETTERS.encoded("ab")
    frames = torch.tensor([0, a, a, 0, a, b, b, 0])
    assert LETTERS.decoded(frames) == "aab"


def test_the_loss_is_that_of_all_ways_to_write_the_text():
    """Brute force over every path of four frames."""
    torch.manual_seed(0)
    letters = Letters.of(["ab"])
    scores = torch.randn(1, 4, letters.size, dtype=torch.float64)
    logs = scores.float().log_softmax(-1)[0]
    total = 0.0
    for path in itertools.product(range(letters.size), repeat=4):
        if letters.decoded(torch.tensor(path)) == "ab":
            total += math.exp(sum(logs[step, n].item() for step, n in enumerate(path)))
    targets = torch.tensor([letters.encoded("ab")])
    loss = objective(letters).losses((scores, torch.tensor([4])), targets)
    assert loss.item() == pytest.approx(-math.log(total) / 2, rel=1e-4)


def test_padding_of_frames_and_texts_changes_nothing():
    torch.manual_seed(0)
    scores, frames = torch.randn(2, 9, LETTERS.size), torch.tensor([9, 5])
    targets = torch.tensor([LETTERS.encoded("abab"), [*LETTERS.encoded("ab"), -1, -1]])
    together = objective(LETTERS).losses((scores, frames), targets)
    alone = objective(LETTERS).losses((scores[1:, :5], frames[1:]), targets[1:, :2])
    torch.testing.assert_close(together[1:], alone)
    batch = Batch(None, targets, torch.arange(2), torch.ones(2))
    said, asked = objective(LETTERS).answered(None, (scores, frames), batch, final=False)
    assert asked == ["abab", "ab"]
    assert said[1] == LETTERS.decoded(scores[1, :5].argmax(-1))


def test_too_few_frames_give_no_gradient_and_no_infinity():
    scores = torch.zeros(1, 2, LETTERS.size, requires_grad=True)
    loss = objective(LETTERS).losses((scores, torch.tensor([2])), torch.tensor([[2, 2, 2]]))
    loss.sum().backward()
    assert loss.item() == 0
    assert not scores.grad.any()


class Framewise(nn.Module):
    """A GRU over frames, and letters."""

    def __init__(self):
        super().__init__()
        self.body = nn.GRU(20, 32, batch_first=True)
        self.last = nn.Linear(32, 10)

    def forward(self, frames, lengths):
        return self.last(self.body((frames + 10) / 10)[0]), lengths


@pytest.fixture
def options(monkeypatch, table):
    module = ModuleType("of_my_own")
    module.model = Framewise
    monkeypatch.setitem(sys.modules, "of_my_own", module)
    return {
        "model": "of_my_own:model",
        "objective": "ctc",
        "features": {"kind": "log_mel", "bands": 20, "rate": 8000},
        "head": ["last"],
        "data": {"path": str(table), "splits": SIZES},
    }


def test_a_model_of_the_users_own_learns_to_write(options):
    made = task(options, allow_code=True)
    assert made.objective.letters.size == 10  # blank, unknown, d g h i l m o w
    torch.manual_seed(0)
    model = made.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(40):
        for batch in made.batches("train", batch_size=5, seed=epoch):
            optimizer.zero_grad()
            made.loss(model, batch).backward()
            optimizer.step()
    answers = answered(model, made, "test", final=False)
    assert set(answers.expected) == {"low", "mid", "high"}
    assert made.metrics["char_error_rate"](answers) < 0.5


def test_a_batch_holds_recordings_of_a_like_length_of_text(options):
    made = task(options, allow_code=True)
    batch = next(made.batches("train", batch_size=4))
    assert batch.targets.shape == (4, 3)
    assert batch.weights.tolist() == [3.0] * 4
    assert torch.equal(batch.lengths, batch.inputs.lengths)


def test_a_transcript_of_which_nothing_is_left(options, manifest):
    path = manifest([(200, 0.3 + 0.01 * n) for n in range(12)])
    path.write_text(path.read_text().replace("-3.wav,low,low", "-3.wav,low,¿?"))
    data = {"path": str(path), "splits": {"train": 6, "valid": 2, "test": 4}}
    with pytest.raises(EmptyTranscript, match=r"table-3\.wav \(line 5 of .*csv\) is empty"):
        task({**options, "data": data, "punctuation": "dropped"}, allow_code=True)


def test_letters_that_a_model_does_not_write():
    with pytest.raises(UnknownLetters, match=r"'c', 'ñ'; it writes ' ', 'a', 'b'"):
        LETTERS.check(["cab", "ñ"])
