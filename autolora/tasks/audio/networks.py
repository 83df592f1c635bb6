"""Which network the model of a task is."""

from collections.abc import Callable
from typing import Any

from torch import nn

from autolora.data.models import build
from autolora.data.sound import hub, tokens, voices, waveforms, whispers
from autolora.data.sound.features import feature
from autolora.data.sound.network import Heard, Network, undrawn
from autolora.errors import CannotHear
from autolora.tasks.audio.options import AudioOptions

_OURS: dict[str, Callable[[str, int], Network]] = {
    "resemblyzer": voices.network,
    "whisper_tiny_en": lambda objective, _: whispers.network(objective, None),
}


def scoring(options: AudioOptions, outputs: int, *, allow_code: bool) -> Network:
    """The network that scores a number of classes or letters.

    Raises:
        CannotHear: if the model cannot do that.
        CodeNotAllowed: if it is code and code is not allowed.
        NotPretrained: if transformers cannot read it.
    """
    name, objective = options.model, options.objective
    if name in _OURS:
        return _OURS[name](objective, outputs)
    if options.weights is not None:
        return waveforms.network(name, options.weights, objective, outputs)
    if options.features is not None:
        return _of_code(options, allow_code=allow_code)
    if objective == "ctc":
        return hub.writer(name, options.vocabulary == "model", outputs)
    return hub.classifier(name, outputs)


def writing(options: AudioOptions) -> tuple[Network, tokens.Tokens]:
    """The network that writes tokens, and the tokens.

    Raises:
        CannotHear: if the model cannot do that.
        NotPretrained: if transformers cannot read it.
    """
    name = options.model
    if name == "whisper_tiny_en":
        return whispers.network(options.objective, options.seconds), tokens.english()
    if name in _OURS or options.weights is not None or options.is_code:
        raise CannotHear(name, options.objective, ["classification", "ctc"])
    return hub.transcriber(name, options.seconds, options.language)


def _of_code(options: AudioOptions, *, allow_code: bool) -> Network:
    assert options.features is not None
    chosen = options.features
    heard = feature(chosen.kind, chosen.rate, chosen.bands)
    base = undrawn(lambda: build(options.model, allow_code=allow_code))
    call = _waveforms if chosen.kind == "waveform" else _frames
    return Network(base, call, heard, options.head)


def _frames(model: nn.Module, heard: Heard) -> Any:
    return model(heard.frames, heard.lengths)


def _waveforms(model: nn.Module, heard: Heard) -> Any:
    return model(heard.frames.squeeze(-1), heard.lengths)
