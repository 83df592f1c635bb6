"""The letters that a model writes frame by frame, with a blank between them."""

import string
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from autolora.errors import UnknownLetters

Case = Literal["as_written", "lower", "upper"]
Punctuation = Literal["kept", "dropped"]

_INSIDE = "'\N{RIGHT SINGLE QUOTATION MARK}-"  # of a word
_STRANGE = "\N{REPLACEMENT CHARACTER}"  # stands for a letter without a number of its own


def written(text: str, case: Case, punctuation: Punctuation) -> str:
    """A transcript as a model shall write it: composed letters and single spaces.

    Apostrophes and hyphens inside words are no punctuation.

    >>> written("¿Qué? It's  well-known.", "lower", "dropped")
    "qué it's well-known"
    """
    text = unicodedata.normalize("NFC", text)
    if punctuation == "dropped":
        text = " ".join(_bare(word) for word in text.split())
    if case != "as_written":
        text = text.lower() if case == "lower" else text.upper()
    return " ".join(text.split())


@dataclass(frozen=True)
class Letters:
    """Letters by number.

    Attributes:
        numbers: The number of each letter; a space is one.
        size: How many numbers there are.
        blank: The number that writes nothing.
        unknown: The number of every other letter; None where there may be none.
    """

    numbers: Mapping[str, int]
    size: int
    blank: int = 0
    unknown: int | None = None

    @classmethod
    def of(cls, transcripts: Iterable[str]) -> "Letters":
        """The letters of transcripts, sorted; 0 is the blank, 1 a letter that none of them has.

        >>> Letters.of(["ab", "a c"]).encoded("cab!")
        [5, 3, 4, 1]
        """
        every = sorted(set().union(*transcripts))
        numbers = {letter: number for number, letter in enumerate(every, start=2)}
        return cls(numbers, len(every) + 2, unknown=1)

    @classmethod
    def of_tokenizer(cls, tokenizer: Any) -> "Letters":
        """The letters of a tokenizer of transformers' models with CTC."""
        space = getattr(tokenizer, "word_delimiter_token", " ")
        vocabulary = {" " if k == space else k: v for k, v in tokenizer.get_vocab().items()}
        letters = {letter: number for letter, number in vocabulary.items() if len(letter) == 1}
        size = max(vocabulary.values()) + 1
        return cls(letters, size, tokenizer.pad_token_id)

    def check(self, transcripts: Iterable[str]) -> None:
        """Makes sure that every letter has a number of its own.

        Raises:
            UnknownLetters: if some have not.
        """
        strange = sorted(set().union(*transcripts) - self.numbers.keys())
        if strange:
            raise UnknownLetters(strange, sorted(self.numbers))

    def encoded(self, text: str) -> list[int]:
        """The numbers of a text."""
        assert self.unknown is not None or self.numbers.keys() >= set(text)
        return [self.numbers.get(letter, self.unknown or 0) for letter in text]

    def spelt(self, numbers: Iterable[int]) -> str:
        """The text of numbers, each a letter."""
        letters = {number: letter for letter, number in self.numbers.items()}
        if self.unknown is not None:
            letters[self.unknown] = _STRANGE
        return " ".join("".join(letters.get(number, "") for number in numbers).split())

    def decoded(self, numbers: Tensor) -> str:
        """The text of the best number of every frame: of equal ones in a row only the first.

        Source: Graves et al. 2006, section 3.1.

        >>> Letters.of(["ab"]).decoded(torch.tensor([2, 2, 0, 2, 3, 0, 0]))
        'aab'
        """
        return self.spelt(torch.unique_consecutive(numbers).tolist())


def _bare(word: str) -> str:
    kept = "".join(c for c in word if c in _INSIDE or not _is_punctuation(c))
    return kept.strip(_INSIDE)


def _is_punctuation(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("P")
