"""What is said of pretrained transformers models, and of the texts they read."""

from autolora.errors.kinds import UsageError


class ModelUnreachable(UsageError):
    """A model of the hub that is not on this disk and cannot be downloaded.

    The name may be misspelt as well: offline the two look the same.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f'the model "{name}" is no folder here and could not be had from the hub: '
            f"{reason.rstrip('.')}; check its name, or without a network download it elsewhere and "
            "name its folder, as in model: path/to/folder"
        )


class NotPretrained(UsageError):
    """A name behind which lies no transformers model that can be read."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            f'"{name}" is no transformers model: {problem}; name a folder with config.json, '
            "weights and tokenizer, a .gguf file, a hub id as owner/name, or minilm, smollm2"
        )


class TokenizerNeeded(UsageError):
    """A model that is code, and no word about how its texts become numbers."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f'"{model}" is code, which brings no tokenizer; '
            "name the folder of one, as in tokenizer: path/to/folder"
        )


class TooManyTokens(UsageError):
    """Texts that may be longer than what the model has positions for."""

    def __init__(self, asked: int, most: int) -> None:
        super().__init__(
            f"a max_length of {asked} tokens is more than the {most} positions of the model; "
            f"write max_length: {most} or less"
        )


class TagsDoNotFit(UsageError):
    """An example with another number of tags than words."""

    def __init__(self, place: str, *, words: int, tags: int) -> None:
        super().__init__(f"{place} has {words} words and {tags} tags; give every word one tag")


class PromptsPacked(UsageError):
    """Prompts, which would be lost where texts are packed into blocks."""

    def __init__(self) -> None:
        super().__init__(
            "packing joins whole texts, and these data have prompts; "
            "leave packing out, or the column of the prompts"
        )


class NothingToPredict(UsageError):
    """A split in which no token of any text has one before it."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"no text of {source} is long enough to predict a token of it; give longer texts"
        )
