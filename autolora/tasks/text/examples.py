"""The examples of a text task, by objective: what is read, and what it should give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autolora.data.opened import Data, Roles, classes
from autolora.data.table import Table
from autolora.data.tokenised import IGNORED, Texts, Tokenised, predicting
from autolora.errors import PromptsPacked, TagsDoNotFit
from autolora.tasks.text.options import TextOptions
from autolora.training.padded import Padded
from autolora.training.weighing import class_weights

_PAIRED = ("text_pair", "group")


@dataclass(frozen=True)
class Material:
    """What examples are made of.

    Attributes:
        classes: The classes in the order of the model's scores; None where there are none.
        start: The token with which an answer in words begins.
    """

    options: TextOptions
    texts: Texts
    classes: tuple[str, ...] | None
    start: int = 0

    def padded(self, tokenised: Tokenised, targets: Any, weights: Tensor) -> Padded:
        """Examples with what stands behind the end of each."""
        inputs = dict(tokenised.inputs)
        inputs.setdefault("attention_mask", [torch.ones_like(row) for row in inputs["input_ids"]])
        pad = self.texts.tokenizer.pad_token_id or 0
        padding = {"input_ids": pad, "decoder_input_ids": pad, "targets": IGNORED}
        return Padded(inputs, targets, weights, padding)

    def numbers(self, labels: Sequence[str]) -> list[int]:
        """The classes of labels as numbers."""
        number = {name: i for i, name in enumerate(self.classes or ())}
        return [number[label] for label in labels]


Made = tuple[Padded, int]  # how many texts were cut, beside the examples


def single(material: Material, table: Table, split: str) -> Made:
    """One class for each text or pair."""
    tokenised = _sentences(material, table)
    labels = torch.tensor(material.numbers(table.columns["label"]))
    weights = torch.ones(len(labels))
    if split == "train" and material.options.class_weights == "balanced":
        weights = class_weights(labels, len(material.classes or ()))
    return material.padded(tokenised, labels, weights), tokenised.cut


def several(material: Material, table: Table, split: str) -> Made:
    """Any number of labels for each text or pair."""
    del split
    tokenised = _sentences(material, table)
    labels = torch.zeros(len(table), len(material.classes or ()))
    for row, names in zip(labels, table.columns["label"], strict=True):
        row[material.numbers(names)] = 1
    return material.padded(tokenised, labels, torch.ones(len(table))), tokenised.cut


def number(material: Material, table: Table, split: str) -> Made:
    """A number for each text or pair."""
    del split
    tokenised = _sentences(material, table)
    labels = torch.tensor(table.columns["label"], dtype=torch.float32)
    return material.padded(tokenised, labels, torch.ones(len(table))), tokenised.cut


def tagged(material: Material, table: Table, split: str) -> Made:
    """A class for each word; every word counts the same."""
    del split
    words, tags = table.columns["words"], table.columns["tags"]
    for row, (some, theirs) in enumerate(zip(words, tags, strict=True)):
        if len(some) != len(theirs):
            raise TagsDoNotFit(table.place(row), words=len(some), tags=len(theirs))
    tokenised = material.texts.tagged(words, [material.numbers(each) for each in tags])
    return _counted(material, tokenised), tokenised.cut


def continued(material: Material, table: Table, split: str) -> Made:
    """The next token; behind a prompt where there is one. Every token counts the same.

    Only train is packed, so that what is measured does not depend on it.
    """
    texts, prompts = table.columns["text"], table.columns.get("prompt")
    if material.options.packing and prompts is not None:
        raise PromptsPacked
    if material.options.packing and split == "train":
        tokenised = material.texts.packed(texts)
    else:
        tokenised = material.texts.continued(texts, prompts)
    return _counted(material, predicting(tokenised, table.source)), tokenised.cut


def translated(material: Material, table: Table, split: str) -> Made:
    """A text for each text; every token of an answer counts the same."""
    del split
    tokenised = material.texts.translated(table.columns["text"], table.columns["target"])
    start = torch.tensor([material.start])
    before = [torch.cat((start, row[:-1])) for row in tokenised.targets or ()]
    inputs = tokenised.inputs | {"decoder_input_ids": before}
    return _counted(material, Tokenised(inputs, tokenised.targets)), tokenised.cut


def _sentences(material: Material, table: Table) -> Tokenised:
    return material.texts.sentences(table.columns["text"], table.columns.get("text_pair"))


def _counted(material: Material, tokenised: Tokenised) -> Padded:
    """Examples that weigh as much as they have targets."""
    targets = tokenised.targets or []
    first = int(material.options.objective == "causal_lm")  # nothing stands before the first token
    counts = torch.tensor([float((row[first:] != IGNORED).sum()) for row in targets])
    return material.padded(tokenised, targets, counts)


@dataclass(frozen=True)
class Kind:
    """What an objective reads, how it is measured, and at how many examples at once."""

    roles: Roles
    make: Callable[[Material, Table, str], Made]
    metrics: tuple[str, ...]
    classes: str | None = None
    evaluation_batch: int = 64

    def names(self, data: Data) -> tuple[str, ...] | None:
        """The classes that train has."""
        return classes(data, self.classes) if self.classes else None


_CLASSES = ("accuracy", "f1_score", "matthews_corrcoef")
_SOME = 8  # scores for every token of a vocabulary are large

KINDS = {
    "classification": Kind(Roles(("text", "label"), _PAIRED), single, _CLASSES, "label"),
    "multi_label": Kind(
        Roles(("text", "label"), _PAIRED, lists=("label",)), several, _CLASSES[:2], "label"
    ),
    "regression": Kind(
        Roles(("text", "label"), _PAIRED, numbers=("label",)),
        number,
        ("pearson_corrcoef", "spearman_corrcoef"),
    ),
    "token_classification": Kind(
        Roles(("words", "tags"), lists=("words", "tags"), answers=("tags",)),
        tagged,
        _CLASSES[:2],
        "tags",
    ),
    "causal_lm": Kind(
        Roles(("text",), ("prompt", "group")), continued, ("perplexity",), evaluation_batch=_SOME
    ),
    "seq2seq": Kind(
        Roles(("text", "target")),
        translated,
        ("exact_match", "char_error_rate"),
        evaluation_batch=_SOME,
    ),
}
