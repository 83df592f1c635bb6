"""What adapters as files say."""

from autolora.errors.kinds import UsageError

_LONGEST = 400  # of what a file of unknown origin may put into a sentence


class OtherBase(UsageError):
    """An adapter meets a model that is not the base it was trained on."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            f"this model is not the base of the adapter: {_line(difference)}; "
            "load the base that the adapter's README names"
        )


class WrongShape(UsageError):
    """A matrix of another shape than the adapter's."""

    def __init__(self, name: str, mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
        super().__init__(
            f"{_line(name)} is {_size(theirs)} in this model and {_size(mine)} in the adapter; "
            "load the base that the adapter was trained on"
        )


class AdapterFile(UsageError):
    """A file that is no whole adapter."""

    def __init__(self, source: object, problem: str) -> None:
        super().__init__(
            f"{source} cannot be read as an adapter: {_line(problem)}; export it again"
        )


class NotPlainLora(UsageError):
    """An adapter whose delta is no product of two factors, or that changes its base."""

    def __init__(self, source: object, what: str) -> None:
        super().__init__(
            f"{source} is no plain LoRA: {_line(what)}; merge it into its base with the library "
            "that wrote it, and load the merged model instead"
        )


class ManyComponents(UsageError):
    """A file for several models of a pipeline meets one of them."""

    def __init__(self, source: object, components: str) -> None:
        super().__init__(
            f"{source} adapts several models: {_line(components)}; load it onto all of them at "
            "once, as torch.nn.ModuleDict of these names"
        )


class NoAdapter(UsageError):
    """A folder without an adapter."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} holds no adapter: neither adapter.json (autolora) nor adapter_config.json "
            "(PEFT) nor another format's file is there; "
            "export one with: autolora export STUDY --to FOLDER"
        )


class FolderTaken(UsageError):
    """A folder that holds something else than an earlier version of what is to be written."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} exists and holds something else; nothing was written. Choose a new folder"
        )


def _line(text: str) -> str:
    """Text of any origin as a part of one sentence: printable, and no longer than one reads."""
    plain = "".join(c if c.isprintable() else " " for c in text[: 2 * _LONGEST])
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
