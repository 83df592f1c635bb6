"""The recordings, classes and transcripts of a task, checked."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from autolora.data.opened import Data, Roles, open_data
from autolora.data.sound.clips import Clips, prepare
from autolora.data.sound.features import Feature
from autolora.data.sound.letters import written
from autolora.data.sound.tokens import Tokens
from autolora.errors import EmptyTranscript, NothingLeft, TranscriptTooLong
from autolora.tasks.audio.options import AudioOptions
from autolora.training.task import SPLITS, Split


class Texts(NamedTuple):
    """What is said in the recordings of a split, and where messages say it stands."""

    texts: list[str]
    places: list[str]


def opened(options: AudioOptions, answer: str) -> Data:
    """The data, each recording with an answer: `label` or `transcript`."""
    return open_data(options.data, Roles(("audio", answer), files=("audio",)))


def transcripts(options: AudioOptions, data: Data) -> dict[Split, Texts]:
    """The transcripts of every split as a model shall write them.

    Raises:
        EmptyTranscript: if nothing is left of one.
    """
    every: dict[Split, Texts] = {}
    for split in SPLITS:
        table = data.splits[split]
        said = zip(table.columns["audio"], table.columns["transcript"], strict=True)
        found = Texts([], [])
        for row, (path, text) in enumerate(said):
            place = f"{path} ({table.place(row)})"
            text = written(text, options.case, options.punctuation)  # noqa: PLW2901
            if not text:
                raise EmptyTranscript(place)
            found.texts.append(text)
            found.places.append(place)
        every[split] = found
    return every


def clips(options: AudioOptions, feature: Feature, data: Data) -> dict[Split, Clips]:
    """What a model hears of every split.

    Raises:
        SoundTooLong: if a recording is too long and that is refused.
        NothingLeft: if all recordings of a split are dropped.
    """
    limits = [limit for limit in (options.seconds, feature.seconds) if limit is not None]
    seconds = min(limits, default=None)
    heard: dict[Split, Clips] = {}
    for split in SPLITS:
        key: Any = [data.identity, split]
        table, too_long = data.splits[split], options.too_long
        heard[split] = prepare(table, feature, seconds=seconds, too_long=too_long, key=key)
        if not len(heard[split].kept):
            raise NothingLeft(split, seconds or 0)
    return heard


def labels(data: Data, names: Sequence[str], heard: Mapping[Split, Clips]) -> dict[Split, Tensor]:
    """The number of the class of every recording that is kept."""
    numbers = {name: number for number, name in enumerate(names)}
    return {
        split: torch.tensor(
            [numbers[data.splits[split].columns["label"][row]] for row in heard[split].kept]
        )
        for split in SPLITS
    }


def tokenised(found: Texts, tokens: Tokens) -> list[list[int]]:
    """The tokens of transcripts.

    Raises:
        TranscriptTooLong: if a model cannot hold them.
    """
    most = tokens.positions - len(tokens.prompt)
    every = []
    for text, place in zip(*found, strict=True):
        every.append(tokens.encoded(text))
        if len(every[-1]) > most:
            raise TranscriptTooLong(place, len(every[-1]), most)
    return every
