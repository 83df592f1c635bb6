"""Whisper writes what is said: a small one of chance weights, and the real one."""

import json

import pytest
import torch

import autolora
from autolora.data.assets import fetch
from autolora.data.sound import whispers
from autolora.errors import FetchFailed, NoPredictions, TranscriptTooLong
from autolora.objectives.transcription import greedy
from autolora.space.read import find, read_yaml
from autolora.space.spec import SpaceSpec
from autolora.tasks.audio import task
from autolora.training.evaluate import answered

transformers = pytest.importorskip("transformers")

SIZES = {"train": 15, "valid": 5, "test": 10}
START, SILENT, END = "<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>"


@pytest.fixture
def small(tmp_path):
    """A Whisper of chance weights that writes bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    folder = tmp_path / "small"
    folder.mkdir()
    names = [*bytes_to_unicode().values(), END, START, SILENT, "<|translate|>", "<|transcribe|>"]
    numbers = {name: number for number, name in enumerate(names)}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.WhisperTokenizer(numbers, [], unk_token=END, bos_token=END)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(names),
        num_mel_bins=16,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_target_positions=24,
        pad_token_id=numbers[END],
        bos_token_id=numbers[END],
        eos_token_id=numbers[END],
        decoder_start_token_id=numbers[START],
        suppress_tokens=[],
        begin_suppress_tokens=[numbers[END]],
        init_std=0.5,
    )
    transformers.WhisperForConditionalGeneration(config).eval().save_pretrained(folder)
    return str(folder)


def options_of(model, table, **more):
    data = {"path": str(table), "splits": SIZES}
    return {"model": model, "objective": "transcription", "seconds": 1, "data": data, **more}


@pytest.fixture
def made(small, table):
    return task(options_of(small, table))


def test_only_the_text_is_asked(made):
    batch = next(made.batches("train", batch_size=15))
    tokens = made.objective.tokens
    prompt = len(tokens.prompt)
    row = int((batch.weights == 6).nonzero()[0])  # a space, h, i, g, h and the end
    assert batch.inputs.said[row, :prompt].tolist() == list(tokens.prompt)
    assert (batch.targets[row, : prompt - 1] == -100).all()
    asked = batch.targets[row][batch.targets[row] != -100].tolist()
    assert asked == [*tokens.encode(" high"), tokens.end]
    assert batch.inputs.said[row, prompt : prompt + 5].tolist() == asked[:-1]
    assert batch.inputs.frames.shape == (15, 100, 16)


def test_the_loss_is_the_mean_over_the_text_whatever_is_beside_it(made):
    model = made.model().double()
    batch = next(made.batches("train", batch_size=15))
    heard = batch.inputs._replace(frames=batch.inputs.frames.double())
    with torch.no_grad():
        output = made.call(model, heard)
        losses = made.objective.losses(output, batch.targets)
        for row in (0, 14):
            kept = batch.targets[row] != -100
            logs = output.logits[row].float().log_softmax(-1)[kept]
            wanted = -logs.gather(1, batch.targets[row][kept][:, None]).mean()
            torch.testing.assert_close(losses[row], wanted)
            width = int(batch.lengths[row])
            own = heard._replace(frames=heard.frames[row, None], said=heard.said[row, None, :width])
            alone = made.objective.losses(made.call(model, own), batch.targets[row, None, :width])
            torch.testing.assert_close(alone[0], losses[row])


def test_texts_are_written_token_by_token(made):
    """With kept keys and values, as without them."""
    model, tokens = made.model(), made.objective.tokens
    batch = next(made.batches("valid", batch_size=4))
    with torch.no_grad():
        states = made.call(model, batch.inputs).encoder_last_hidden_state
        written = greedy(model, states, tokens, 8)
        said = torch.tensor(tokens.prompt).expand(4, -1)
        for step in range(8):
            scores = model(
                encoder_outputs=(states,), decoder_input_ids=said, use_cache=False
            ).logits[:, -1]
            if step == 0:
                scores[:, list(tokens.not_first)] = -torch.inf
            said = torch.cat([said, scores.argmax(1, keepdim=True)], 1)
    assert all(row[0] != tokens.end for row in written)
    for row, wanted in zip(written, said[:, len(tokens.prompt) :].tolist(), strict=True):
        assert tokens.decoded(row) == tokens.decoded(wanted)


def test_texts_are_written_at_the_end_only_unless_asked(made, small, table):
    model = made.model()
    early = answered(model, made, "valid", final=False)
    assert early.predicted is None
    with pytest.raises(NoPredictions):
        made.metrics["word_error_rate"](early)
    final = answered(model, made, "valid", final=True)
    assert set(final.expected) <= {"low", "mid", "high"}
    assert len(final.predicted) == 5
    always = task(options_of(small, table, generate="always"))
    assert answered(model, always, "valid", final=False).predicted == final.predicted


def test_an_adapter_changes_what_is_written(made):
    model = made.model()
    before = answered(model, made, "test", final=True).predicted
    found = [t for t in autolora.targets(model) if "layers" in t.name]
    attached = autolora.attach(model, autolora.Allocation.uniform(found, 2), scale=1.0)
    torch.manual_seed(0)
    for parameter in attached.parameters():
        torch.nn.init.normal_(parameter)
    assert answered(model, made, "test", final=True).predicted != before


def test_a_shorter_window_hears_the_same_at_its_places(made, small):
    whole = transformers.WhisperForConditionalGeneration.from_pretrained(small)
    short = made.model()
    assert short.config.max_source_positions == 50
    table = short.model.encoder.embed_positions.weight
    assert torch.equal(table, whole.model.encoder.embed_positions.weight[:50])
    again = whispers.shortened(whole, 1)
    frames = torch.randn(1, 16, 100)
    with torch.no_grad():
        wanted = again.model.encoder(frames).last_hidden_state
        assert torch.equal(short.model.encoder(frames).last_hidden_state, wanted)


def test_a_transcript_that_the_model_cannot_hold(small, table):
    table.write_text(table.read_text().replace("-3.wav,low,low", "-3.wav,low," + "low " * 9))
    with pytest.raises(TranscriptTooLong, match=r"line 5 of .* has 37 tokens, .* at most \d\d"):
        task(options_of(small, table))


def test_the_preset_fits(made):
    space = read_yaml(find("speech-transformer", "search_spaces"), SpaceSpec)
    resolved = space.resolve(autolora.targets(made.model()))
    assert len(resolved.targets) == 2 + 2 * (4 + 2) + 2 * (4 + 4 + 2)


@pytest.mark.slow
def test_the_real_one_learns_three_words(table):
    try:
        fetch("whisper_tiny_en")
    except FetchFailed as error:
        pytest.skip(str(error))
    made = task(options_of("whisper_tiny_en", table))
    model = made.model()
    found = [t for t in autolora.targets(model) if "layers" in t.name]
    torch.manual_seed(0)
    attached = autolora.attach(model, autolora.Allocation.uniform(found, 4), scale=1.0)
    optimizer = torch.optim.AdamW(list(attached.parameters()), lr=3e-3)
    before = answered(model, made, "test", final=True)
    for epoch in range(6):
        for batch in made.batches("train", batch_size=5, seed=epoch):
            optimizer.zero_grad()
            made.loss(model, batch).backward()
            optimizer.step()
    after = answered(model, made, "test", final=True)
    assert made.metrics["loss"](after) < 0.5 * made.metrics["loss"](before)
    assert made.metrics["char_error_rate"](after) < 0.5 < made.metrics["char_error_rate"](before)
