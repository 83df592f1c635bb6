"""The tokens that Whisper writes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from autolora.data.assets import folder
from autolora.errors import MissingExtra

# Of Whisper's English models: what is no speech (brackets, notes of music, other tasks), and what a
# text cannot begin with. Source: openai/whisper, `decoding.py`; CTranslate2's file of the model.
_NO_SPEECH = """
1 2 7 8 9 10 14 25 26 27 28 29 31 58 59 60 61 62 63 90 91 92 93 357 366 438 532 685 705 796 930 1058
1220 1267 1279 1303 1343 1377 1391 1635 1782 1875 2162 2361 2488 3467 4008 4211 4600 4808 5299 5855
6329 7203 9609 9959 10563 10786 11420 11709 11907 13163 13697 13700 14808 15306 16410 16791 17992
19203 19510 20724 22305 22935 27007 30109 30420 33409 34949 40283 40493 40549 47282 49146 50257
50357 50358 50359 50360 50361
"""
_NO_BEGINNING = (220, 50256)
_START, _NO_TIMESTAMPS, _END = 50257, 50362, 50256


@dataclass(frozen=True)
class Tokens:
    """How texts become tokens and back, and which a model may write.

    Attributes:
        encode: The tokens of a text.
        decode: The text of tokens.
        prompt: What a model is given before the text.
        end: The token after it.
        positions: How many tokens a model can hold, prompt and end included.
        never: Tokens that are no speech.
        not_first: Tokens that a text does not begin with.
    """

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    prompt: tuple[int, ...]
    end: int
    positions: int
    never: tuple[int, ...] = ()
    not_first: tuple[int, ...] = ()

    def encoded(self, text: str) -> list[int]:
        """The tokens of a text and the end.

        Whisper's texts begin with a space, as every word of them does.
        """
        return [*self.encode(f" {text}"), self.end]

    def decoded(self, tokens: list[int]) -> str:
        """The text up to the end, with single spaces."""
        if self.end in tokens:
            tokens = tokens[: tokens.index(self.end)]
        return " ".join(self.decode(tokens).split())


@cache
def english() -> Tokens:
    """Those of `whisper_tiny_en`."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("the model whisper_tiny_en", "tokenizers", "text") from error
    read = Tokenizer.from_file(str(folder("whisper_tiny_en") / "tokenizer.json"))
    return Tokens(
        encode=lambda text: list(read.encode(text, add_special_tokens=False).ids),
        decode=lambda tokens: str(read.decode(tokens, skip_special_tokens=True)),
        prompt=(_START, _NO_TIMESTAMPS),
        end=_END,
        positions=448,
        never=tuple(map(int, _NO_SPEECH.split())),
        not_first=_NO_BEGINNING,
    )


def of_transformers(tokenizer: Any, model: Any, language: str | None) -> Tokens:
    """Those of a Whisper of transformers; `language` as its tokenizer names it."""
    if language is not None:
        tokenizer.set_prefix_tokens(language=language, task="transcribe", predict_timestamps=False)
    chosen = model.generation_config
    return Tokens(
        encode=lambda text: list(tokenizer.encode(text, add_special_tokens=False)),
        decode=lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=True)),
        prompt=tuple(tokenizer.prefix_tokens),
        end=tokenizer.eos_token_id,
        positions=model.config.max_target_positions,
        never=tuple(chosen.suppress_tokens or ()),
        not_first=tuple(chosen.begin_suppress_tokens or ()),
    )
