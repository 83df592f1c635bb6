"""What recordings and their transcripts say."""

from collections.abc import Iterable

from autolora.errors.kinds import UsageError, listed


class UnreadableSound(UsageError):
    """A file that is no recording."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(
            f"{path} cannot be read as sound: {problem}; "
            "give a WAV, FLAC or OGG file, or take its row out of the data"
        )


class SoundTooShort(UsageError):
    """A recording in which nothing can be heard."""

    def __init__(self, path: object, seconds: float, least: float) -> None:
        super().__init__(
            f"{path} lasts {seconds:g} s, and a model hears {least:g} s at a time; "
            "take its row out of the data"
        )


class SoundNotFinite(UsageError):
    """A recording with samples that are no numbers."""

    def __init__(self, path: object, samples: int) -> None:
        super().__init__(
            f"{path} holds samples that are no finite numbers ({samples} of them); "
            "record or convert it again, or take its row out of the data"
        )


class SoundTooLong(UsageError):
    """A recording that does not fit into the window of a model."""

    def __init__(self, path: object, seconds: float, window: float) -> None:
        super().__init__(
            f"{path} lasts {seconds:.2f} s, and the model hears {window:g} s; "
            "make `seconds` longer, or say too_long: drop (or cut, where a class is asked)"
        )


class NothingLeft(UsageError):
    """A split of which every recording was dropped."""

    def __init__(self, split: str, window: float) -> None:
        super().__init__(
            f"every recording of the split {split} is longer than {window:g} s; "
            "make `seconds` longer, or cut the recordings"
        )


class EmptyTranscript(UsageError):
    """A recording of which nobody wrote down what is said."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"the transcript of {path} is empty; write down what is said, or take its row out"
        )


class TranscriptTooLong(UsageError):
    """A transcript that a model cannot write."""

    def __init__(self, path: object, tokens: int, most: int) -> None:
        super().__init__(
            f"the transcript of {path} has {tokens} tokens, and the model writes at most {most}; "
            "cut the recording into shorter ones"
        )


class UnknownLetters(UsageError):
    """Transcripts with letters that a model does not write."""

    def __init__(self, letters: Iterable[str], known: Iterable[str]) -> None:
        super().__init__(
            f"the transcripts hold letters that the model does not write: {_quoted(letters)}; "
            f"it writes {_quoted(known)}. Say case: lower or upper, punctuation: dropped, "
            "or vocabulary: train for a new alphabet"
        )


class CannotHear(UsageError):
    """A model that is not made for an objective."""

    def __init__(self, model: str, objective: str, able: Iterable[str]) -> None:
        super().__init__(
            f'the model {model} has no part for the objective "{objective}"; '
            f"it can do {listed(able)}"
        )


def _quoted(letters: Iterable[str]) -> str:
    return listed(repr(letter) for letter in letters)
