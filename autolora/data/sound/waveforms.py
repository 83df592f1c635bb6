"""Torchaudio's models of waveforms (wav2vec 2.0, HuBERT, WavLM), with weights out of a file."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor, nn

from autolora.data.sound.features import Feature, feature, normal_waveform
from autolora.data.sound.network import Heard, Network, mean_over, undrawn
from autolora.data.weights import state
from autolora.errors import MissingExtra, NotItsWeights, UnknownName

PREFIX = "torchaudio:"

_AUX = "aux"  # torchaudio's name for the layer that scores letters


class WaveformClassifier(nn.Module):
    """The mean of an encoder's states over time, and a linear layer on it."""

    def __init__(self, encoder: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, classes)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Scores of the classes.

        Shapes: waveforms (batch, samples); lengths (batch,); result (batch, classes).
        """
        states, counted = self.encoder(waveforms, lengths)
        scores: Tensor = self.head(mean_over(states, counted))
        return scores


def network(name: str, weights: str, objective: str, outputs: int) -> Network:
    """A model of torchaudio with a new head: for letters its own layer `aux`, for classes `head`.

    Raises:
        UnknownName: if torchaudio has no such model.
        NoSuchFile: if the weights are not there.
        NotItsWeights: if they are those of another model.
        MissingExtra: if torchaudio is not installed.
    """
    build = _builder(name.removeprefix(PREFIX))
    saved = {k: v for k, v in state(weights, name).items() if not k.startswith(f"{_AUX}.")}
    letters = objective == "ctc"

    def make() -> nn.Module:
        model = build(aux_num_out=outputs if letters else None, encoder_layer_drop=0.0)
        try:
            missing, unexpected = model.load_state_dict(saved, strict=False)
        except RuntimeError as error:  # of other sizes
            reason = " ".join(str(error).split()[:40])
            raise NotItsWeights(weights, name, reason) from error
        wrong = [*(key for key in missing if not key.startswith(f"{_AUX}.")), *unexpected]
        if wrong:
            raise NotItsWeights(weights, name, f"{wrong[0]} is of another model")
        if letters:
            return model
        return WaveformClassifier(model, _width(model), outputs)

    base = undrawn(make)
    return Network(base, _called, _heard(base), (_AUX if letters else "head",))


@cache
def _builder(name: str) -> Callable[..., nn.Module]:
    try:
        from torchaudio import models
    except ImportError as error:
        raise MissingExtra(f"the model {PREFIX}{name}", "torchaudio", "speech") from error
    known = {
        key: function
        for key, function in inspect.getmembers(models, inspect.isfunction)
        if "aux_num_out" in inspect.signature(function).parameters and not key.endswith("_model")
    }
    if name not in known:
        raise UnknownName("model of torchaudio", name, known)
    return known[name]


def _width(model: Any) -> int:
    """The size of the states: that of the layer which makes them out of the features."""
    return int(model.encoder.feature_projection.projection.out_features)


def _heard(model: nn.Module) -> Feature:
    """Models whose convolutions normalise each layer were trained on normalised waveforms.

    Source: torchaudio's pipelines, `normalize_waveform`; transformers' preprocessor files.
    """
    grouped = any(isinstance(module, nn.GroupNorm) for module in model.modules())
    return feature("waveform") if grouped else normal_waveform()


def _called(model: nn.Module, heard: Heard) -> Any:
    return model(heard.frames.squeeze(-1), heard.lengths)
