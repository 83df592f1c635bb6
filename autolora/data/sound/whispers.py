"""Whisper: it hears a window of seconds and writes what is said, token by token."""

from typing import Any

from torch import nn

from autolora.data.sound import features
from autolora.data.sound.network import Heard, Network
from autolora.data.whisper import whisper_tiny_en
from autolora.errors import CannotHear

LONGEST = 30  # seconds: the window that Whisper was trained on


def network(objective: str, seconds: int | None) -> Network:
    """The network of the name `whisper_tiny_en`, over a window of seconds.

    Raises:
        CannotHear: if no transcription is asked.
    """
    if objective != "transcription":
        raise CannotHear("whisper_tiny_en", objective, ["transcription"])
    seconds = min(seconds or LONGEST, LONGEST)
    return Network(whisper_tiny_en(seconds), called, features.whisper(seconds))


def called(model: nn.Module, heard: Heard) -> Any:
    """The scores of every next token, given the recording and the tokens before it."""
    return model(
        input_features=heard.frames.transpose(1, 2), decoder_input_ids=heard.said, use_cache=False
    )


def shortened(model: Any, seconds: int) -> Any:
    """A Whisper that hears only the first seconds of its window, which is much cheaper.

    The positions are sinusoids, so the first of them mean the same in a shorter window.
    """
    places = 50 * seconds
    table = model.model.encoder.embed_positions
    table.weight = nn.Parameter(table.weight[:places].detach().clone(), requires_grad=False)
    table.num_embeddings = places
    model.model.encoder.max_source_positions = places
    model.config.max_source_positions = places
    return model
