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
# The worker gave the trial back in good order: it is tried again, and not counted.
INTERRUPTED, PREEMPTED = "interrupted", "preempted"
GIVEN_UP = "given up"  # stands behind a reason where a configuration is tried no more
TWICE = "asked for twice"  # and needed once: an answer of the database got lost
TAKEN_AWAY: dict[str, Kind] = {
    DIED: "died",
    EXPIRED: "expired",
    INTERRUPTED: "interrupted",
    PREEMPTED: "preempted",
    TWICE: "interrupted",
}
COUNTED = frozenset({"died", "expired"})  # against the retries of a trial


def kind_of(reason: str) -> Kind:
    """The kind of a reason for which a trial was taken away, whatever was added to it.

    >>> kind_of("worker died; given up after 5 attempts")
    'died'
    """
    return next((kind for text, kind in TAKEN_AWAY.items() if reason.startswith(text)), "died")
