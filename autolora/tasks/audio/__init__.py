"""Recordings: which class each is, or what is said in it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from autolora.data.opened import Data, classes
from autolora.data.sound import hub
from autolora.data.sound.letters import Letters
from autolora.data.sound.network import Network
from autolora.metrics import metrics
from autolora.objectives import answers, classification, ctc, transcription
from autolora.space.read import validate
from autolora.tasks.audio import material
from autolora.tasks.audio.examples import Recordings, spelt, told
from autolora.tasks.audio.networks import scoring, writing
from autolora.tasks.audio.options import AudioOptions
from autolora.training.supervised import Objective, SupervisedTask
from autolora.training.task import SPLITS, Split, Task
from autolora.training.weighing import class_weights

OPTIONS = AudioOptions

_VERSION = 1  # of how examples are prepared: a change makes stored results stale
_EVALUATION_BATCH = {"classification": 64, "ctc": 16, "transcription": 16}  # scores fill memory


def task(options: Mapping[str, Any], *, allow_code: bool = False) -> Task:
    """The task that a study's `task` block describes.

    Raises:
        UnknownKey: if a key is misspelt.
        BadValue: if one is missing or its value is impossible.
        CannotHear: if the model is not made for the objective.
        CodeNotAllowed: if the model is code and code is not allowed.
        UnreadableSound: if a file is no recording.
        SoundTooLong: if a recording does not fit into the model.
    """
    chosen = validate(dict(options), AudioOptions, "task")
    metrics(chosen.measured, of=answers(chosen.objective))  # refused before anything is loaded
    if chosen.objective == "classification":
        return _classification(chosen, allow_code=allow_code)
    if chosen.objective == "ctc":
        return _ctc(chosen, allow_code=allow_code)
    return _transcription(chosen)


def _classification(options: AudioOptions, *, allow_code: bool) -> Task:
    data = material.opened(options, "label")
    names = classes(data)
    network = scoring(options, len(names), allow_code=allow_code)
    clips = material.clips(options, network.feature, data)
    labels = material.labels(data, names, clips)
    weights = {split: torch.ones(len(labels[split])) for split in SPLITS}
    if options.class_weights == "balanced":
        weights["train"] = class_weights(labels["train"], len(names))
    splits = {s: Recordings(clips[s], labels[s], weights[s]) for s in SPLITS}
    made = _task(options, network, data, splits, classification.objective())
    return replace(made, classes=len(names))


def _ctc(options: AudioOptions, *, allow_code: bool) -> Task:
    data = material.opened(options, "transcript")
    said = material.transcripts(options, data)
    letters = Letters.of(said["train"].texts)
    if options.vocabulary == "model":
        letters = hub.letters(options.model)
        letters.check(text for split in SPLITS for text in said[split].texts)
    network = scoring(options, letters.size, allow_code=allow_code)
    clips = material.clips(options, network.feature, data)
    encoded = {s: [letters.encoded(text) for text in said[s].texts] for s in SPLITS}
    splits = {s: spelt(clips[s], [encoded[s][row] for row in clips[s].kept]) for s in SPLITS}
    return _task(options, network, data, splits, ctc.objective(letters))


def _transcription(options: AudioOptions) -> Task:
    data = material.opened(options, "transcript")
    said = material.transcripts(options, data)
    network, tokens = writing(options)
    clips = material.clips(options, network.feature, data)
    encoded = {s: material.tokenised(said[s], tokens) for s in SPLITS}
    splits = {s: told(clips[s], [encoded[s][i] for i in clips[s].kept], tokens) for s in SPLITS}
    # A model that does not know how to end would go on as long as it may.
    most = min(2 * max(map(len, encoded["train"])), tokens.positions - len(tokens.prompt))
    objective = transcription.objective(tokens, most, always=options.generate == "always")
    return _task(options, network, data, splits, objective)


def _task(
    options: AudioOptions,
    network: Network,
    data: Data,
    splits: Mapping[Split, Recordings],
    objective: Objective,
) -> SupervisedTask:
    return SupervisedTask(
        network=network.fresh,
        call=network.call,
        splits=splits,
        objective=objective,
        metrics=metrics(options.measured, of=answers(options.objective)),
        head=network.head,
        identity=[_VERSION, options.model_dump(mode="json"), data.identity, network.identity],
        evaluation_batch=_EVALUATION_BATCH[options.objective],
    )
