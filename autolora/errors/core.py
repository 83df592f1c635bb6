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


class Unsplittable(UsageError):
    """A weight that does not hold the blocks that somebody declares."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(
            f"{parameter} {problem}; name every block with its number of rows, from the first row "
            "to the last, in letters, digits and _"
        )


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


class NotMixable(UsageError):
    """A layer that cannot give each sample of a batch an adapter of its own."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} cannot tell the samples of a batch apart, so a mixed batch cannot pass it; "
            "call the model once for each adapter, or leave this target out"
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


class AttachedTooLate(UsageError):
    """An adapter is asked for on a model that is spread over processes already."""

    def __init__(self, by: str) -> None:
        super().__init__(
            f"the model is spread over processes already ({by}), and each process would train "
            "factors of its own; attach to the plain model first, then spread it"
        )


class SplitBaseHidden(UsageError):
    """Weights loaded into a model that FSDP2 has split, while adapted weights hide the base."""

    def __init__(self, parameter: str) -> None:
        super().__init__(
            f'FSDP2 looks for the parameter it split under the name "{parameter}" and finds an '
            "adapted weight; load weights into a split model within "
            "`with autolora.disabled(model):`"
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


class MergeQuantised(UsageError):
    """A merge that would have to quantise the base anew."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(
            f"the weights {listed(names)} are quantised and cannot hold the sum with a delta; keep "
            "the adapter attached, or have them quantised anew: merge(model, requantise=True)"
        )


class NotRequantisable(UsageError):
    """A quantised weight that there is no known way to quantise anew."""

    def __init__(self, name: str, kind: str, known: Iterable[str]) -> None:
        super().__init__(
            f"{name} is a {kind}, and how it was quantised is not known; known are the layers of "
            f"bitsandbytes and {listed(known)}; keep the adapter attached instead"
        )


class PackedBase(UsageError):
    """Layers that let no gradient through any more, without a word."""

    def __init__(self, layers: Iterable[str]) -> None:
        super().__init__(
            f"the layers {listed(layers)} were packed by an evaluation for a kernel without "
            "gradients and lost precision; load the model anew and attach before it is evaluated, "
            "for the base alone autolora.attach(model, {})"
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
        self.without_gradient = tuple(without_gradient)
        self.without_effect = tuple(without_effect)
        found = [
            f"{what}: {listed(targets)}"
            for what, targets in (
                ("no gradient reaches", self.without_gradient),
                ("the output does not change with", self.without_effect),
            )
            if targets
        ]
        super().__init__(
            f"the adapter would train in vain: {'; '.join(found)}. "
            "Leave these targets out, or run the check with a batch that uses them"
        )


class NoSuchAdapter(UsageError):
    """A mixed batch names an adapter that the model does not carry."""

    def __init__(self, name: object, known: Iterable[str]) -> None:
        carried = listed(known) or "none"
        super().__init__(
            f"the model carries no adapter named {name!r}, but {carried}; "
            "name one of them for each sample, or None for the base"
        )


class ForgottenBatch(UsageError):
    """A backward pass that computes something anew, so late that nobody knows its adapters."""

    def __init__(self, batches: int) -> None:
        super().__init__(
            f"a checkpoint is computed anew more than {batches} mixed batches after it, and which "
            "adapters its samples named is kept no longer; call the backward pass sooner"
        )


class WrongBatch(UsageError):
    """A layer inside a mixed batch whose input does not show the samples that were named."""

    def __init__(self, where: str, shape: Iterable[int], dimension: int, samples: int) -> None:
        found = " × ".join(map(str, shape))
        place = ("first", "second")[dimension]
        super().__init__(
            f"{where} was given an input of {found} where the batch names {samples} adapters; "
            f"name one adapter (or None) for each sample, give the samples as the {place} "
            "dimension, or leave this target out"
        )
