"""The pretrained models mean something: a wrong order of weights would load just as well."""

import sys
from pathlib import Path

import pytest
import torch

from autolora.data import gguf, minilm, pretrained, whisper
from autolora.data.assets import fetch
from autolora.data.models import build
from autolora.data.pretrained import Pretrained
from autolora.errors import FetchFailed, MissingExtra


@pytest.fixture
def built():
    def make(name):
        try:
            return build(name)
        except FetchFailed as error:
            pytest.skip(str(error))

    return make


def test_speakers_are_told_by_their_resonances(built):
    """Two recordings of one spectrum are nearer to each other than to those of another."""
    model = built("resemblyzer")
    torch.manual_seed(0)
    low = 1e-2 * torch.exp(-torch.arange(40) / 5)
    mel = torch.cat([spectrum * torch.rand(2, 80, 40) for spectrum in (low, low.flip(0))])
    with torch.no_grad():
        voices = model(mel)
    torch.testing.assert_close(voices.norm(dim=1), torch.ones(4))
    alike = voices @ voices.T
    assert min(alike[0, 1], alike[2, 3]) > alike[:2, 2:].max() + 0.2


@pytest.mark.slow
def test_sentences_of_one_meaning_are_near(built):
    """[CLS] word [SEP] of BERT's vocabulary: cat, kitten, car, truck."""
    model = built("minilm")
    words = torch.tensor([[101, word, 102] for word in (4937, 18401, 2482, 4744)])
    with torch.no_grad():
        states = model(input_ids=words).last_hidden_state.mean(1)
    directions = torch.nn.functional.normalize(states, dim=1)
    alike = directions @ directions.T
    assert min(alike[0, 1], alike[2, 3]) > alike[:2, 2:].max() + 0.2


@pytest.mark.slow
def test_the_capital_of_france(built):
    from transformers import AutoTokenizer

    model, path = built("smollm2"), fetch("smollm2")
    tokens = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
    asked = tokens("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        best = model(**asked).logits[0, -1].argmax()
    assert tokens.decode(best) == " Paris"


@pytest.mark.slow
def test_the_decoder_of_whisper_knows_english(built):
    """Over silence: "This is a test of the system", and backwards."""
    model = built("whisper_tiny_en")
    words = [770, 318, 257, 1332, 286, 262, 1080]
    said = torch.tensor([[50257, 50362, *words], [50257, 50362, *reversed(words)]])
    with torch.no_grad():
        scores = model(input_features=torch.zeros(2, 80, 3000), decoder_input_ids=said).logits
    logs = scores[:, :-1].log_softmax(-1).gather(2, said[:, 1:, None])[:, 2:, 0].mean(1)
    assert logs[0] > logs[1] + 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["minilm", "whisper_tiny_en", "resemblyzer", "smollm2"])
def test_models_are_independent_and_draw_nothing(built, name):
    state = torch.get_rng_state()
    first = built(name)
    assert torch.equal(torch.get_rng_state(), state)
    wanted = {key: value.clone() for key, value in first.state_dict().items()}
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    assert not any(module.training for module in first.modules())
    for key, value in built(name).state_dict().items():
        assert torch.equal(value, wanted[key]), key


@pytest.mark.parametrize(
    ("module", "make"),
    [
        (minilm, minilm._pristine.__wrapped__),
        (pretrained, lambda: pretrained.load.__wrapped__(Pretrained("mine", Path()), "AutoModel")),
        (gguf, lambda: gguf._convert(Path("mine.gguf"), Path())),
        (whisper, lambda: whisper._pristine.__wrapped__(2)),
    ],
    ids=["minilm", "folder", "gguf", "whisper"],
)
def test_without_transformers_the_extra_is_named(monkeypatch, module, make):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'autolora\[text\]'"):
        make()
