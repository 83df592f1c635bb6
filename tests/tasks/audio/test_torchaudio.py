"""Torchaudio's models of waveforms, at full size with weights of chance."""

import pytest
import torch
from safetensors.torch import save_file

import autolora
from autolora.errors import NoSuchFile, NotItsWeights, UnknownName
from autolora.space.read import find, read_yaml
from autolora.space.spec import SpaceSpec
from autolora.tasks.audio import task

models = pytest.importorskip("torchaudio.models")

SIZES = {"train": 15, "valid": 5, "test": 10}
NAME = "torchaudio:wav2vec2_base"


def options_of(table, weights, **more):
    data = {"path": str(table), "splits": SIZES}
    return {"model": NAME, "weights": str(weights), "data": data, **more}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a model that was tuned for other letters."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "base.pt"
    torch.save(models.wav2vec2_base(aux_num_out=29).state_dict(), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["ctc", "classification"])
def test_the_base_is_that_of_the_file_and_the_head_is_new(table, weights, objective):
    made = task(options_of(table, weights, objective=objective))
    torch.manual_seed(0)
    model = made.model()
    encoder = model if objective == "ctc" else model.encoder
    key = "encoder.transformer.layers.3.attention.q_proj.weight"
    saved = torch.load(weights, weights_only=True)
    assert torch.equal(encoder.state_dict()[key], saved[key])
    assert made.head == (("aux",) if objective == "ctc" else ("head",))
    outputs = model.aux.out_features if objective == "ctc" else model.head.out_features
    assert outputs == (10 if objective == "ctc" else 3)
    with torch.no_grad():
        assert made.loss(model, next(made.batches("train", batch_size=3))).isfinite()
    found = [t for t in autolora.targets(model) if t.layer not in made.head]
    space = read_yaml(find("speech-ctc", "search_spaces"), SpaceSpec).resolve(found)
    assert len(space.targets) == 1 + 12 * (4 + 2)


def test_weights_that_are_no_such_model(tmp_path, table):
    save_file({"encoder.strange": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(NoSuchFile, match=r"there is no file .*absent\.pt"):
        task(options_of(table, tmp_path / "absent.pt"))
    with pytest.raises(UnknownName, match='model of torchaudio called "wav2vec2_bas"'):
        task(options_of(table, tmp_path / "x.pt") | {"model": "torchaudio:wav2vec2_bas"})


@pytest.mark.slow
def test_weights_of_another_model(tmp_path, table):
    save_file({"encoder.strange": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(NotItsWeights, match=r"other\.safetensors does not hold .* another model"):
        task(options_of(table, tmp_path / "other.safetensors"))


@pytest.mark.slow
def test_weights_of_another_size(tmp_path, table, weights):
    held = torch.load(weights, weights_only=True)
    name = "encoder.feature_projection.projection.bias"
    torch.save(held | {name: torch.zeros(5)}, tmp_path / "other.pt")
    with pytest.raises(NotItsWeights, match="size mismatch") as caught:
        task(options_of(table, tmp_path / "other.pt"))
    assert "\n" not in str(caught.value)
