"""Why an attempt at a trial ended: what `attempts.kind` holds, and what people read."""

from typing import Literal

Kind = Literal[
    "finished",
    "pruned",
    "preempted",
    "out of memory",
    "diverged",
    "bug",
    "died",
    "expired",
    "interrupted",
]
# The worker is gone, or may be: what it tried is tried again, as often as the study allows.
DIED, EXPIRED = "worker died", "lease expired"
NO_MEMORY = "worker ended for want of memory"  # by who watches over a node; "died", but known why
# The worker gave the trial back in good order: it is tried again, and not counted.
INTERRUPTED, PREEMPTED = "interrupted", "preempted"
GIVEN_UP = "given up"  # stands behind a reason where a configuration is tried no more
TWICE = "asked for twice"  # and needed once: an answer of the database got lost
TAKEN_AWAY: dict[str, Kind] = {
    DIED: "died",
    EXPIRED: "expired",
    NO_MEMORY: "out of memory",
    INTERRUPTED: "interrupted",
    PREEMPTED: "preempted",
    TWICE: "interrupted",
}
COUNTED = frozenset({"died", "expired", "out of memory"})  # against the retries of a trial


def taken_away(kind: str | None, reason: str | None) -> bool:
    """Whether an attempt that ended was taken away or given back; else it ended by its result.

    Memory that did not suffice may be either: as a result it is told by the worker itself.
    """
    if kind == "out of memory":
        return (reason or "").startswith(NO_MEMORY)
    return kind is None or kind in TAKEN_AWAY.values()


def kind_of(reason: str) -> Kind:
    """The kind of a reason for which a trial was taken away, whatever was added to it.

    >>> kind_of("worker died; given up after 5 attempts")
    'died'
    """
    return next((kind for text, kind in TAKEN_AWAY.items() if reason.startswith(text)), "died")
