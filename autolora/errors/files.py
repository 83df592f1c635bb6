"""What adapters as files say."""

from autolora.errors.kinds import UsageError


class OtherBase(UsageError):
    """An adapter meets a model that is not the base it was trained on."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            f"this model is not the base of the adapter: {difference}; "
            "load the base that the adapter's README names"
        )


class WrongShape(UsageError):
    """A matrix of another shape than the adapter's."""

    def __init__(self, name: str, mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
        super().__init__(
            f"{name} is {_size(theirs)} in this model and {_size(mine)} in the adapter; "
            "load the base that the adapter was trained on"
        )


class AdapterFile(UsageError):
    """A file that is no whole adapter."""

    def __init__(self, source: object, problem: str) -> None:
        super().__init__(f"{source} cannot be read as an adapter: {problem}; export it again")


class NoAdapter(UsageError):
    """A folder without an adapter."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} holds no adapter: neither adapter.json (autolora) nor adapter_config.json "
            "(PEFT) is there; export one with: autolora export STUDY --to FOLDER"
        )


class FolderTaken(UsageError):
    """A folder that holds something else than an earlier version of what is to be written."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} exists and holds something else; nothing was written. Choose a new folder"
        )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
