"""What the adapter core says."""

from collections.abc import Iterable

from autolora.errors.kinds import AutoloraError, UsageError, listed


class NoSuchTarget(UsageError):
    """A target name or pattern that matches nothing in the model."""

    def __init__(self, pattern: str, nearest: Iterable[str]) -> None:
        near = listed(nearest) or "none that look alike"
        super().__init__(
            f'no target matches "{pattern}"; nearest: {near}. '
            "List them with: autolora targets MODEL"
        )


class BadPattern(UsageError):
    """A pattern that is no regular expression."""

    def __init__(self, pattern: str, problem: str) -> None:
        super().__init__(
            f'"{pattern}" is no regular expression: {problem}; '
            "correct it, or write a glob without re:"
        )


class RefusedTarget(UsageError):
    """A weight that cannot carry a delta as it is."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name} cannot be adapted: {reason}; {remedy}")


class RankTooHigh(UsageError):
    """A rank that the matrix cannot have."""

    def __init__(self, name: str, rank: int, rows: int, columns: int) -> None:
        super().__init__(
            f"rank {rank} at {name} exceeds what its {rows} × {columns} matrix can have; "
            f"ranks here are 0 to {min(rows, columns)}"
        )


class InPlaceEdit(AutoloraError):
    """Somebody edits an adapted weight in place, which would edit a temporary sum."""

    def __init__(self, attribute: str) -> None:
        super().__init__(
            f"`.{attribute}` of an adapted weight would change a temporary sum and be lost; "
            "change its base instead: layer.weight.base"
        )


class AssignedBase(AutoloraError):
    """A checkpoint is put in the place of adapted weights, which would take the adapter out."""

    def __init__(self) -> None:
        super().__init__(
            "load_state_dict(assign=True) puts parameters where a layer finds its adapted weights, "
            "and the adapter would be lost; load without assign, or load the base before attaching"
        )


class AdapterName(UsageError):
    """An adapter name that is not a plain word, is taken, or is not there."""


class NoProbability(UsageError):
    """A dropout that cannot be."""

    def __init__(self, dropout: float) -> None:
        super().__init__(
            f"dropout {dropout} is no probability to drop an input with; "
            "give one from 0 to below 1 (0.05, say)"
        )


class NoScale(UsageError):
    """A scale that would turn every output into nothing sensible."""

    def __init__(self, scale: float, rank: int) -> None:
        super().__init__(
            f"scale {scale} at rank {rank} is no finite number; give one such as 1.0, or a rule "
            "that gives one for every rank"
        )


class NothingToTrain(UsageError):
    """A module that should be trained in full and has nothing to train."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f'module "{module}" holds no parameters to train; name one that does, '
            "such as the last linear layer"
        )


class NotAttached(UsageError):
    """The model carries no adapter where one is needed."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"the model carries no adapter to {action}; attach one with autolora.attach(model, …)"
        )


class Disabled(UsageError):
    """An adapter that is out of sight would be merged or built upon."""

    def __init__(self, targets: Iterable[str]) -> None:
        super().__init__(
            f"the adapters at {listed(targets)} are disabled; leave autolora.disabled(model) first "
            "(a copy made inside it, or a weight assigned since, can only be detached)"
        )


class NotMerged(UsageError):
    """A merge that cannot be undone any more."""

    def __init__(self) -> None:
        super().__init__(
            "the model is not as the merge left it: it carries an adapter again; take that away "
            "with autolora.detach(model), or keep it and attach the merged one anew"
        )


class DeadTargets(AutoloraError):
    """The self-check found adapted targets that the model does not use."""

    def __init__(self, without_gradient: Iterable[str], without_effect: Iterable[str]) -> None:
        found = [
            f"{what}: {listed(targets)}"
            for what, targets in (
                ("no gradient reaches", tuple(without_gradient)),
                ("the output does not change with", tuple(without_effect)),
            )
            if targets
        ]
        super().__init__(
            f"the adapter would train in vain: {'; '.join(found)}. "
            "Leave these targets out, or run the check with a batch that uses them"
        )
