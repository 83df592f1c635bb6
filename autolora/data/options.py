"""The `data` part of a task: where the examples are, which column is what, how they are split."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from autolora.space.read import Strict


def _size(value: Any) -> Any:
    counts = isinstance(value, int) and value >= 1
    if not counts and not (isinstance(value, float) and 0 < value < 1):
        raise ValueError("A size is a count of at least 1, or a share between 0 and 1")
    return value


Size = Annotated[int | float, BeforeValidator(_size)]

_MADE = 0.15  # the share of valid and of test, where a split is made and its size is not said


class SplitSizes(Strict):
    """How large each split is: a count of examples, or a share of the table it comes from.

    A split that is left out is whole where it was given as a table; else train is the rest, and
    valid and test are 0.15 each.
    """

    model_config = ConfigDict(strict=True)

    train: Size | None = None
    valid: Size | None = None
    test: Size | None = None
    seed: int = Field(default=0, ge=0)

    def size(self, split: str) -> int | float | None:
        """The size that is asked for, if any."""
        asked: int | float | None = getattr(self, split)
        return asked

    def made(self, split: str) -> int | float | None:
        """The size of a split that has no table of its own; None for the rest."""
        return _MADE if split != "train" and self.size(split) is None else self.size(split)


class DataOptions(Strict):
    """Where examples are and how they are read; a bare text is short for `{path: …}`.

    Attributes:
        path: One table of all examples, or of splits: a file, a folder, the name of a data set of
            ours, or `hub:owner/name`.
        train: The table of one split, as `path`; so are `valid` and `test`. A split that has none
            is made out of the table of train.
        columns: The column of each role; a role whose column has its own name may be left out.
        splits: The sizes, and the seed that deals.
        allow_empty: Whether an empty text is an example.
        overlap: What happens where examples of one given split are in another: the data are
            refused, or they are dropped, from train first, never from test.
    """

    model_config = ConfigDict(strict=True)

    path: str | None = None
    train: str | None = None
    valid: str | None = None
    test: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    splits: SplitSizes = SplitSizes()
    allow_empty: bool = False
    overlap: Literal["refuse", "drop"] = "refuse"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.train is None):
            raise ValueError("Write either path, or train with valid and test beside it")
        if self.path is not None and (self.valid or self.test):
            raise ValueError("Beside path no table of a split is read; write train instead of path")
        return self
