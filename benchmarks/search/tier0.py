"""Tier 0: the tiny decoder learns new rules of its language by LoRA, in seconds on one thread.

A new table of transitions, a new distance of copies, or both. What is measured on them orders
allocations; it says nothing about how much a real task gains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from autolora.metrics import metrics
from autolora.objectives.causal_lm import CausalLm
from autolora.space.spec import Group, Range, SpaceSpec, TrainingRanges
from autolora.training.batch import Batch
from autolora.training.settings import TrainingSettings
from autolora.training.supervised import SupervisedTask
from autolora.training.task import Split
from benchmarks.search.decoder import BASE_DISTANCE, Recipe, base, weights_digest
from benchmarks.search.language import Language, renewed, sequences

Kind = Literal["transition", "copy", "both"]
KINDS: tuple[Kind, ...] = ("transition", "copy", "both")

NEW_DISTANCE = 7
CHANGED = 12  # rows of the table, of 24: with all of them new, rank 1 is far from enough
SETTINGS = TrainingSettings(steps=220, batch_size=32, evaluations=4)
BUDGET_PARAMETERS = 3_584  # an average rank of 1 over the 24 targets
HIGH_RANK = 8
# Swept at 0.005, 0.01, 0.02, 0.04 and 0.06 over 220 steps, seed 0, on "transition": at rank 1 the
# validation loss fell from 1.673 to 1.587 at 0.04 and hardly further (1.583 at 0.06); at rank 8 it
# was lowest at 0.02 (1.522), and the run was lost at 0.04 (2.271).
RATE, HIGH_RATE = 0.04, 0.02
EXAMPLES: Mapping[Split, int] = {"train": 220 * 32, "valid": 512, "test": 4_096}

_NEW_TABLES = 1_000  # seeds of new tables come after those of bases
_FIRST = 1  # the seed of the first split; the base read the sequences of seed 0


@dataclass(frozen=True)
class Sequences:
    """The sequences of one split. Shapes: tokens (examples, places) of int64."""

    tokens: Tensor
    lengths: None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """Some of them: each token is read, and predicted from those before it."""
        del augment
        tokens = self.tokens[indices]
        return Batch(tokens, tokens, indices, torch.ones(len(indices)))


def task(kind: Kind, seed: int, *, test: int = EXAMPLES["test"]) -> SupervisedTask:
    """A language with new rules for the decoder to learn; the seed decides table and sequences.

    Every training example of a run with `SETTINGS` is new. There is no new head.
    """
    recipe, counts = Recipe(), {**EXAMPLES, "test": test}
    spoken = language(kind, seed)
    splits = {
        split: Sequences(torch.from_numpy(sequences(spoken, count, _FIRST + 3 * seed + i)))
        for i, (split, count) in enumerate(counts.items())
    }
    return SupervisedTask(
        network=partial(base, recipe),
        call=_call,
        splits=splits,
        objective=CausalLm(),
        metrics=metrics(()),
        head=(),
        identity=["tier0", seed, counts, spoken.digest, weights_digest(recipe)],
        evaluation_batch=256,
    )


def language(kind: Kind, seed: int) -> Language:
    """What a task speaks: the language of the base but for its new rules."""
    known = Recipe().speaks()
    rows = known.table if kind == "copy" else renewed(known.table, CHANGED, _NEW_TABLES + seed)
    return Language(rows, BASE_DISTANCE if kind == "transition" else NEW_DISTANCE)


def space() -> SpaceSpec:
    """All 24 linear layers at ranks 0 to 8 in 16 groups, so 17 numbers with the learning rate.

    Query and key of a block share a rank, and value and out; up and down have one each.
    """
    tied = {"match": ("query", "key"), "carry": ("value", "out"), "up": ("up",), "down": ("down",)}
    groups = tuple(
        Group(name=name, match=tuple(f"blocks.*.{kind}.weight" for kind in kinds), per="depth")
        for name, kinds in tied.items()
    )
    rates = TrainingRanges(learning_rate=Range(low=5e-3, high=6e-2))
    return SpaceSpec(name="tier0", ranks=(0, 1, 2, 4, 8), groups=groups, training=rates)


def _call(model: nn.Module, tokens: Any) -> Any:
    return model(tokens)
