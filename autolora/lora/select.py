"""Selection: which targets a pattern, a kind, a block or a depth means."""

import re
from collections.abc import Iterable, Sequence

from torch import nn

from autolora.errors import BadPattern, NoSuchModule, NoSuchTarget, UnknownName
from autolora.lora.targets import Target
from autolora.lora.targets import targets as every
from autolora.registry import nearest

REGEX = "re:"


def select(
    targets: Sequence[Target],
    patterns: Iterable[str] = ("*",),
    *,
    kinds: Iterable[str] = (),
    blocks: Iterable[str] = (),
    depths: tuple[int, int] | None = None,
) -> tuple[Target, ...]:
    """The targets that match any pattern and every other condition, in the model's order.

    A pattern is a glob over the whole name, in which `*` crosses dots and brackets are literal,
    or a regular expression behind `re:`. `depths` bounds `Target.depth`, both ends included.

    Raises:
        NoSuchTarget: if a pattern matches nothing; it offers the nearest names.
        BadPattern: if what stands behind `re:` is no regular expression.
        UnknownName: if no target is of a kind or block asked for.

    >>> layer = Target("a.weight", "a", "weight", None, "linear", 4, 8)
    >>> select([layer], ["a.*"]) == select([layer], ["re:a[.].+"]) == (layer,)
    True
    """
    kinds, blocks = tuple(kinds), tuple(blocks)
    _check(kinds, {t.kind for t in targets}, "kind")
    _check(blocks, {t.block for t in targets if t.block}, "block")
    named = set().union(*(_matched(targets, pattern) for pattern in patterns))
    low, high = depths or (0, max((t.depth for t in targets), default=0))
    return tuple(
        t
        for t in targets
        if t.name in named
        and (not kinds or t.kind in kinds)
        and (not blocks or t.block in blocks)
        and low <= t.depth <= high
    )


def outside(model: nn.Module, head: Sequence[str]) -> tuple[Target, ...]:
    """The targets of a model that lie in none of the modules that `head` names.

    Raises:
        NoSuchModule: if the model has no module of a name; it offers the nearest.
    """
    modules = dict(model.named_modules())
    for name in head:
        if name not in modules:
            raise NoSuchModule(name, nearest(name, modules))
    within = tuple(f"{name}." for name in head)
    return tuple(t for t in every(model) if not f"{t.layer}.".startswith(within))


def _matched(targets: Sequence[Target], pattern: str) -> set[str]:
    expression = pattern[len(REGEX) :] if pattern.startswith(REGEX) else _regex(pattern)
    try:
        found = {t.name for t in targets if re.fullmatch(expression, t.name)}
    except re.error as error:
        raise BadPattern(pattern, str(error)) from error
    if not found:
        raise NoSuchTarget(pattern, nearest(pattern, [t.name for t in targets]))
    return found


def _regex(glob: str) -> str:
    wild = {"*": ".*", "?": "."}
    return "".join(wild.get(character) or re.escape(character) for character in glob)


def _check(wanted: tuple[str, ...], known: set[str], what: str) -> None:
    for name in wanted:
        if name not in known:
            raise UnknownName(what, name, sorted(known))
