"""Texts: classes, numbers, tags, the next token, or an answer in words."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from multiprocessing import parent_process
from typing import Any

from autolora.data.opened import open_data
from autolora.data.table import Table
from autolora.data.tokenised import Texts
from autolora.metrics import metrics
from autolora.objectives import (
    answers,
    causal_lm,
    classification,
    multi_label,
    regression,
    seq2seq,
    token_classification,
)
from autolora.space.read import validate
from autolora.tasks.text import networks
from autolora.tasks.text.examples import KINDS, Material
from autolora.tasks.text.options import TextOptions
from autolora.training.padded import Padded
from autolora.training.supervised import Objective, SupervisedTask
from autolora.training.task import SPLITS, Split, Task

OPTIONS = TextOptions

# Options whose meaning lies in the digests of data, base and tokens, or decides no result.
_ELSEWHERE = ("data", "model", "tokenizer", "metrics")
_LOGGER = logging.getLogger(__name__)
_VERSION = 1  # of how texts are prepared: a change makes stored results stale
_OBJECTIVES: Mapping[str, Callable[[], Objective]] = {
    "classification": classification.objective,
    "multi_label": multi_label.objective,
    "regression": regression.objective,
    "token_classification": token_classification.objective,
    "causal_lm": causal_lm.objective,
}


def task(options: Mapping[str, Any], *, allow_code: bool = False) -> Task:
    """The task that a study's `task` block describes.

    Raises:
        UnknownKey: if a key is misspelt.
        BadValue: if one is missing or its value is impossible.
        NotPretrained: if the model cannot be read.
        ModelUnreachable: if it is a hub id, not on this disk, and there is no network.
        CodeNotAllowed: if the model is code and code is not allowed.
        UsageError: if the data are not what the objective needs.
    """
    chosen = validate(dict(options), TextOptions, "task")
    kind = KINDS[chosen.objective]
    wanted = kind.metrics if chosen.metrics is None else chosen.metrics
    measured = metrics(wanted, of=answers(chosen.objective))
    data = open_data(chosen.data, kind.roles)  # before transformers is imported, which takes long
    names = kind.names(data)
    source = networks.Source.of(chosen)
    names = names and source.ordered(names)
    loaded = source.load(names, allow_code=allow_code)
    texts = Texts(source.tokenizer, chosen.max_length)
    material = Material(chosen, texts, names, _start(loaded.model))
    splits = {split: _split(material, data.splits[split], split) for split in SPLITS}
    return SupervisedTask(
        network=loaded.fresh,
        call=networks.call,
        splits=splits,
        objective=_objective(material),
        metrics=measured,
        head=loaded.head,
        identity=_identity(chosen, data.identity, networks.identity(loaded), splits),
        classes=len(names) if names else None,
        evaluation_batch=kind.evaluation_batch,
    )


def _split(material: Material, table: Table, split: Split) -> Padded:
    """The examples of a split; says how many were too long for the model."""
    padded, cut = KINDS[material.options.objective].make(material, table, split)
    # Every worker makes the same examples: only the first process tells of them.
    if cut and parent_process() is None:
        _LOGGER.warning(
            "%s: %d of %d examples were longer than %d tokens and lost their end; "
            "a larger max_length keeps more of them",
            *(split, cut, len(table), material.options.max_length),
        )
    return padded


def _objective(material: Material) -> Objective:
    if material.options.objective == "seq2seq":
        return seq2seq.objective(material.texts.text, material.options.max_length)
    return _OBJECTIVES[material.options.objective]()


def _start(model: Any) -> int:
    """The token with which a model's own answers begin."""
    config = getattr(model, "config", None)
    for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
        if (token := getattr(config, name, None)) is not None:
            return int(token)
    return 0


def _identity(
    options: TextOptions, data: Any, base: str, splits: Mapping[Split, Padded]
) -> list[Any]:
    """Plain data that decide results; tokens stand for the tokenizer and all it was told."""
    chosen = options.model_dump(mode="json", exclude={*_ELSEWHERE})
    return [_VERSION, chosen, data, base, [_digest(splits[split]) for split in SPLITS]]


def _digest(padded: Padded) -> str:
    digest = hashlib.sha256()
    for rows in (*padded.inputs.values(), padded.targets):
        for row in rows:
            digest.update(row.numpy().tobytes() + b"|")
    return digest.hexdigest()
