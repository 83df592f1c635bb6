"""What is said before a search runs: spaces that do not fit, files that are there already."""

from collections.abc import Iterable

from autolora.errors.kinds import UsageError, listed


class SpaceDoesNotFit(UsageError):
    """A search space for another sort of model."""

    def __init__(self, space: str, model: str, problem: str) -> None:
        super().__init__(
            f'the search space "{space}" does not fit {model}; see which ones do with: '
            f"autolora space {model}. What does not fit: {problem}"
        )


class FileTaken(UsageError):
    """A file that would be written over."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} is there already; name another one with --output, or replace it with --force"
        )


class AnswerMissing(UsageError):
    """A question that nobody is there to answer."""

    def __init__(self, flag: str, about: str) -> None:
        super().__init__(
            f"standard input is no terminal to ask on, and {flag} is missing: {about}; "
            f"give it as {flag}"
        )


class NoSuchModule(UsageError):
    """A part of a model that is not there."""

    def __init__(self, name: str, near: Iterable[str]) -> None:
        hint = f"; nearest: {listed(near)}" if near else ""
        super().__init__(
            f'the model has no module "{name}"{hint}; name one as its named_modules() do'
        )
