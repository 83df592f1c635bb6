"""What images and the networks that look at them say."""

from collections.abc import Sequence

from autolora.errors.kinds import AutoloraError, UsageError, listed


class NotAnImage(UsageError):
    """A file that cannot be read as an image."""

    def __init__(self, place: str, path: object, reason: str) -> None:
        super().__init__(
            f"{place}: {path} cannot be read as an image ({reason}); "
            "replace it or take it out of the data"
        )


class MaskBeyond(UsageError):
    """A mask with a class that no mask of the training split has."""

    def __init__(self, source: str, value: int, classes: int) -> None:
        super().__init__(
            f"{source}: a mask holds class {value}, and those of the training split only 0 to "
            f"{classes - 1}; split the data so that every class is trained, or write 255 where "
            "nothing counts"
        )


class NoHead(UsageError):
    """A network without the layer that is to be replaced."""

    def __init__(self, name: str | None, layers: Sequence[str]) -> None:
        if name is None:
            super().__init__(
                "the network has no linear layer or 2-D convolution that could be its head; "
                "take another model"
            )
            return
        super().__init__(
            f'the network has no linear layer or 2-D convolution "{name}" to replace; '
            f"the last ones are {listed(layers[-3:])}"
        )


class NotReached(AutoloraError):
    """Weights that would have to be downloaded, and could not be."""

    def __init__(self, name: str, reason: str, instead: str) -> None:
        super().__init__(
            f"the weights of {name} could not be downloaded ({reason}); "
            f"with a network run again, or give them as a local file with {instead}"
        )
