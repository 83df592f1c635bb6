"""Texts as a tokenizer writes them: once, one tensor of ids an example."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autolora.errors import NothingToPredict

IGNORED = -100  # the target of what is not predicted, as torch's cross-entropy has it

Ids = list[int]


@dataclass(frozen=True)
class Tokenised:
    """What a model reads of each example, and the token or class that each place should give.

    Attributes:
        inputs: By the model's names; equally long within an example.
        targets: IGNORED where nothing is predicted; None where the example as a whole has a label.
        cut: How many examples were longer than allowed.

    Shapes: each tensor (tokens,) of int64.
    """

    inputs: dict[str, list[Tensor]]
    targets: list[Tensor] | None = None
    cut: int = 0


@dataclass(frozen=True)
class Texts:
    """A tokenizer, and how many tokens an example may have."""

    tokenizer: Any
    most: int

    def sentences(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Tokenised:
        """Texts, or pairs of them, with the tokens that the tokenizer puts around them."""
        clean = [[_valid(text) for text in each] for each in (texts, pairs) if each is not None]
        rows, cut = self._limited(clean)
        return Tokenised(_columns(rows), cut=cut)

    def tagged(self, words: Sequence[Sequence[str]], tags: Sequence[Sequence[int]]) -> Tokenised:
        """Words with a class each, which is predicted at the first token of the word."""
        clean = [[_valid(word) for word in each] for each in words]
        rows, cut = self._limited([clean], is_split_into_words=True)
        each = zip(rows, tags, strict=True)
        targets = [_tensor(_first(row["words"], theirs)) for row, theirs in each]
        return Tokenised(_columns(rows), targets, cut)

    def continued(self, texts: Sequence[str], prompts: Sequence[str] | None) -> Tokenised:
        """Texts to go on with token by token, each with its end; prompts are read, not predicted.

        A text that is too long loses its end, a prompt before it its beginning.
        """
        ends = [[*ids, *self._end()] for ids in self._ids(texts, first=prompts is None)]
        starts: list[Ids] = [[] for _ in ends] if prompts is None else self._ids(prompts)
        inputs, targets, cut = [], [], 0
        for start, text in zip(starts, ends, strict=True):
            cut += len(start) + len(text) > self.most
            kept = text[: self.most - min(1, len(start))]
            before = start[max(0, len(start) + len(kept) - self.most) :]
            inputs.append(_tensor([*before, *kept]))
            targets.append(_tensor([IGNORED] * len(before) + kept))
        return Tokenised({"input_ids": inputs}, targets, cut)

    def packed(self, texts: Sequence[str]) -> Tokenised:
        """All texts in a row, each with its end, cut into blocks of the greatest length."""
        stream = [i for ids in self._ids(texts) for i in (*ids, *self._end())]
        blocks = list(torch.split(_tensor(stream), self.most))
        return Tokenised({"input_ids": blocks}, blocks)

    def translated(self, texts: Sequence[str], answers: Sequence[str]) -> Tokenised:
        """Texts to read, and others to write, each with its end."""
        read, cut = self._limited([[_valid(text) for text in texts]])
        write = self.tokenizer(text_target=[_valid(a) for a in answers], verbose=False)["input_ids"]
        ends = self._end()
        whole = [ids if ids[-1:] == ends else [*ids, *ends] for ids in write]
        cut += sum(len(ids) > self.most for ids in whole)
        return Tokenised(_columns(read), [_tensor(ids[: self.most]) for ids in whole], cut)

    def text(self, ids: Tensor) -> str:
        """What tokens say, without those that only mark beginning, end and padding."""
        said: str = self.tokenizer.decode(ids[ids != IGNORED], skip_special_tokens=True)
        return said.strip()

    def _ids(self, texts: Sequence[str], *, first: bool = True) -> list[Ids]:
        """The tokens of texts; those at the beginning of an example may have a mark there."""
        clean = [_valid(text) for text in texts]
        ids: list[Ids] = self.tokenizer(clean, add_special_tokens=first, verbose=False)["input_ids"]
        ends = self._end()
        return [row[:-1] if row[-1:] == ends else row for row in ids]

    def _end(self) -> Ids:
        end = self.tokenizer.eos_token_id
        end = self.tokenizer.sep_token_id if end is None else end
        return [] if end is None else [end]

    def _limited(self, columns: list[Any], **options: Any) -> tuple[list[dict[str, Ids]], int]:
        """The tokens of each example under the model's names and "words", and how many were cut."""
        whole = self._encoded(columns, options)
        long = [i for i, row in enumerate(whole) if len(row["input_ids"]) > self.most]
        if long:
            options |= {"truncation": True, "max_length": self.most}
            short = self._encoded([[column[i] for i in long] for column in columns], options)
            for index, row in zip(long, short, strict=True):
                whole[index] = row
        return whole, len(long)

    def _encoded(self, columns: list[Any], options: dict[str, Any]) -> list[dict[str, Any]]:
        found = self.tokenizer(*columns, verbose=False, **options)
        rows = [{name: values[i] for name, values in found.items()} for i in range(len(columns[0]))]
        for index, row in enumerate(rows):
            if options.get("is_split_into_words"):
                row["words"] = found.word_ids(index)
            if not row["input_ids"]:  # a model cannot read nothing at all
                row |= {"input_ids": self._end() or [0], "attention_mask": [1]}
        return rows


def predicting(tokenised: Tokenised, source: str) -> Tokenised:
    """The examples in which something is predicted from a token before it.

    Raises:
        NothingToPredict: if there are none.
    """
    targets = tokenised.targets or []
    kept = [i for i, row in enumerate(targets) if (row[1:] != IGNORED).any()]
    if not kept:
        raise NothingToPredict(source)
    inputs = {name: [rows[i] for i in kept] for name, rows in tokenised.inputs.items()}
    return Tokenised(inputs, [targets[i] for i in kept], tokenised.cut)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Tensor]]:
    names = [name for name in rows[0] if name != "words"]
    return {name: [_tensor(row[name]) for row in rows] for name in names}


def _first(words: Sequence[int | None], tags: Sequence[int]) -> Ids:
    """The tag of each word at its first token."""
    before = (None, *words)
    return [
        IGNORED if word is None or word == last else tags[word]
        for word, last in zip(words, before, strict=False)
    ]


def _valid(text: str) -> str:
    """A text that UTF-8 can write: half a surrogate pair, as JSON may hold it, becomes "?"."""
    return text.encode("utf-8", "replace").decode()


def _tensor(ids: Ids) -> Tensor:
    return torch.tensor(ids, dtype=torch.int64)
