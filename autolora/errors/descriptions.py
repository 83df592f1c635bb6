"""What descriptions of studies and spaces say."""

from collections import Counter
from collections.abc import Iterable

from autolora.errors.kinds import UsageError, listed


class NoSuchFile(UsageError):
    """A description that is not there."""

    def __init__(self, name: object, known: Iterable[str]) -> None:
        near = listed(known)
        super().__init__(
            f"there is no file {name}" + (f"; by name there are {near}" if near else "")
        )


class BadYaml(UsageError):
    """A file that is no YAML mapping."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(f"{path} cannot be read as YAML: {problem}; correct it and run again")


class UnknownKey(UsageError):
    """A misspelt key."""

    def __init__(
        self, key: str, inside: str, place: str, *, near: Iterable[str], known: Iterable[str]
    ) -> None:
        where = f" in {inside}" if inside else ""
        hint = "".join(f'did you mean "{name}"? ' for name in near)
        super().__init__(f'{place}: unknown key "{key}"{where}; {hint}keys here: {listed(known)}')


class BadValue(UsageError):
    """A value that cannot be."""

    def __init__(self, where: str, place: str, value: object, rule: str) -> None:
        said = "" if value is None else f" is {str(value)[:80]!r}"
        super().__init__(f"{place}: {where}{said}: {rule[:1].lower()}{rule[1:]}")


class NothingToSearch(UsageError):
    """A space without a target."""

    def __init__(self) -> None:
        super().__init__(
            "the search space matches no target of the model; "
            "list its targets with: autolora targets MODEL"
        )


class TooManyNumbers(UsageError):
    """A space with more numbers than a search can learn."""

    def __init__(self, count: int, most: int, groups: Iterable[str]) -> None:
        largest = Counter(name.partition(".")[0] for name in groups).most_common(1)[0]
        super().__init__(
            f"the search space has {count} numbers to search, at most {most} are of use; "
            f'tie more targets, first in group "{largest[0]}", which has {largest[1]} of them '
            "(per: group, kind or stage)"
        )


class BudgetTooSmall(UsageError):
    """A budget of parameters that no allocation keeps."""

    def __init__(self, budget: int, smallest: int) -> None:
        super().__init__(
            f"no allocation of the search space keeps the budget of {budget:,} adapter parameters; "
            f"the smallest has {smallest:,}. Raise the budget or offer rank 0"
        )
