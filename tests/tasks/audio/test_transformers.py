"""Models of transformers out of a folder: small ones, made here and saved."""

import json

import pytest
import torch

import autolora
from autolora.data.sound.network import Heard
from autolora.errors import CannotHear, ModelUnreachable, UnknownLetters
from autolora.space.read import find, read_yaml
from autolora.space.spec import SpaceSpec
from autolora.tasks.audio import task
from autolora.training.evaluate import answered

transformers = pytest.importorskip("transformers")

SIZES = {"train": 15, "valid": 5, "test": 10}
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 12,
    "classifier_proj_size": 16,
}


def wav2vec2(folder, auto, **options):
    """A small model, its extractor, and a tokenizer that writes the letters of h, i, g and more."""
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(**SMALL, **options)
    getattr(transformers, auto).from_config(config).save_pretrained(folder)
    masked = options.get("feat_extract_norm") == "layer"
    transformers.Wav2Vec2FeatureExtractor(
        sampling_rate=8000, do_normalize=True, return_attention_mask=masked
    ).save_pretrained(folder)
    marks = ["<pad>", "<s>", "</s>", "<unk>", "|"]
    vocabulary = {letter: number for number, letter in enumerate([*marks, *"LOWMIDG"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    return str(folder)


def options_of(model, table, objective, **more):
    return {
        "model": model,
        "objective": objective,
        "data": {"path": str(table), "splits": SIZES},
        **more,
    }


def test_a_waveform_model_gets_a_head_for_classes(tmp_path, table):
    folder = wav2vec2(tmp_path / "m", "AutoModelForPreTraining")
    made = task(options_of(folder, table, "classification"))
    assert set(made.head) == {"projector", "classifier"}
    torch.manual_seed(0)
    one, two = made.model(), made.model()
    assert not torch.equal(one.classifier.weight, two.classifier.weight)
    assert not one.config.apply_spec_augment
    one.train()
    torch.manual_seed(0)
    batch = next(made.batches("train", batch_size=3))
    first = made.loss(one, batch)
    torch.manual_seed(0)
    assert torch.equal(made.loss(one, batch), first)
    assert answered(one, made, "valid", final=False).predicted.shape == (5,)


def test_a_mask_makes_padding_change_nothing(tmp_path, table):
    """Where a model was trained with a mask, and normalises no convolution over time."""
    folder = wav2vec2(tmp_path / "m", "AutoModelForCTC", feat_extract_norm="layer")
    made = task(options_of(folder, table, "ctc"))
    model = made.model()
    batch = next(made.batches("train", batch_size=4))
    with torch.no_grad():
        scores, counts = made.call(model, batch.inputs)
        for row, length in enumerate(batch.inputs.lengths.tolist()):
            frames = batch.inputs.frames[row : row + 1, :length]
            alone = Heard(frames, batch.inputs.lengths[row, None])
            own, count = made.call(model, alone)
            assert count.item() == counts[row].item() == own.shape[1]
            torch.testing.assert_close(scores[row, : own.shape[1]], own[0], rtol=1e-4, atol=1e-5)


def test_letters_of_the_transcripts_get_a_new_layer(tmp_path, table):
    folder = wav2vec2(tmp_path / "m", "AutoModelForCTC")
    made = task(options_of(folder, table, "ctc"))
    assert made.head == ("lm_head",)
    assert made.model().lm_head.out_features == made.objective.letters.size == 10
    assert made.loss(made.model(), next(made.batches("train", batch_size=3))).isfinite()


def test_letters_of_the_model_keep_its_layer(tmp_path, table, manifest):
    folder = wav2vec2(tmp_path / "m", "AutoModelForCTC")
    rows = [((200, 500)[n % 2], 0.2 + 0.01 * n) for n in range(30)]
    data = {"path": str(manifest(rows, "few.csv")), "splits": SIZES}
    options = options_of(folder, table, "ctc", vocabulary="model", case="upper")
    made = task({**options, "data": data})
    assert made.head == ()
    letters = made.objective.letters
    assert (letters.size, letters.blank, letters.numbers[" "]) == (12, 0, 4)
    expected = answered(made.model(), made, "valid", final=False).expected
    assert set(expected) == {"LOW", "MID"}
    with pytest.raises(UnknownLetters, match="letters that the model does not write: 'H'"):
        task(options)
    with pytest.raises(UnknownLetters, match="case: lower or upper"):
        task({**options, "data": data, "case": "as_written"})


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_preset_for_waveforms_fits(tmp_path, table, norm):
    folder = wav2vec2(tmp_path / "m", "AutoModelForCTC", feat_extract_norm=norm)
    model = task(options_of(folder, table, "ctc")).model()
    found = autolora.targets(model)
    space = read_yaml(find("speech-ctc", "search_spaces"), SpaceSpec).resolve(
        [t for t in found if t.layer != "lm_head"]
    )
    assert len(space.targets) == 1 + 3 * (4 + 2)


def test_a_spectrogram_model_has_a_window(tmp_path, table):
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_length=128,
        num_mel_bins=32,
    )
    folder = tmp_path / "m"
    transformers.ASTForAudioClassification(config).save_pretrained(folder)
    transformers.ASTFeatureExtractor(max_length=128, num_mel_bins=32).save_pretrained(folder)
    made = task(options_of(str(folder), table, "classification"))
    batch = next(made.batches("train", batch_size=3))
    assert batch.inputs.frames.shape == (3, 128, 32)
    assert batch.lengths is None
    assert made.head == ("classifier",)
    assert made.loss(made.model(), batch).isfinite()


def test_only_a_whisper_transcribes(tmp_path, table):
    folder = wav2vec2(tmp_path / "m", "AutoModelForCTC")
    with pytest.raises(CannotHear, match=r"\(wav2vec2\) has no part for .*transcription"):
        task(options_of(folder, table, "transcription"))


def test_a_hub_id_without_a_network(table, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnreachable, match="nobody/nothing"):
        task(options_of("nobody/nothing", table, "ctc"))
