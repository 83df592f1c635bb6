"""What the arithmetic of adapters says: combining, resizing, extracting."""

from collections.abc import Iterable

from autolora.errors.kinds import UsageError


class NotOneSize(UsageError):
    """A size that is not said, or said twice."""

    def __init__(self, given: Iterable[str]) -> None:
        found = " and ".join(given) or "none"
        super().__init__(
            f"exactly one of rank, parameters and energy says how small; here is {found}. "
            "Give one: rank 4, say, or energy 0.99"
        )


class OutOfRange(UsageError):
    """A number that cannot be."""

    def __init__(self, what: str, value: object, allowed: str) -> None:
        super().__init__(f"{what} {value} cannot be; give {allowed}")


class NothingFits(UsageError):
    """A budget of parameters below the cheapest rank."""

    def __init__(self, parameters: int, target: str, cost: int) -> None:
        super().__init__(
            f"{parameters:,} parameters hold no rank at all; "
            f"the cheapest, at {target}, costs {cost:,}. Raise the budget"
        )


class NotFinite(UsageError):
    """Values without a spectrum or a sum."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} holds values that are no finite numbers; "
            "take an earlier state, before training diverged"
        )


class NothingToCombine(UsageError):
    """No adapter is left to be combined."""

    def __init__(self) -> None:
        super().__init__(
            "there is no adapter of a weight other than 0 to combine; give at least one"
        )


class DifferentBases(UsageError):
    """Adapters that do not belong to one base."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            f"these adapters belong to different bases: {difference}; "
            "combine only adapters of one and the same base"
        )


class TrainedTwice(UsageError):
    """A parameter that several adapters trained in full, and differently."""

    def __init__(self, parameter: str) -> None:
        super().__init__(
            f"{parameter} was trained in full in several of these adapters, to different values "
            "that do not add up; keep it in one and leave it out of the others: "
            "dataclasses.replace(adapter, full={})"
        )


class NeedsBase(UsageError):
    """A folder whose format says too little without the base."""

    def __init__(self, folder: object, form: str) -> None:
        super().__init__(
            f"the adapter in {folder} is in the format {form}, which cannot be read without its "
            "base; name the base as well, or save the adapter in the format autolora"
        )


class CarriesAdapter(UsageError):
    """A model that should be plain."""

    def __init__(self, which: str) -> None:
        super().__init__(
            f"the {which} model carries an adapter, so its weights are not what it computes with; "
            "call autolora.merge(model) or autolora.detach(model) first"
        )


class CheckpointFile(UsageError):
    """A file that holds no weights of a model."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(
            f"{path} cannot be read as a checkpoint: {' '.join(problem.split())[:400]}; "
            "give a safetensors file, or one that torch.save wrote of a state_dict"
        )


class NotAFineTune(UsageError):
    """Weights that are not those of the base, trained further."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            f"these weights are no fine-tune of the base: {difference}; "
            "give the base from which they were trained"
        )
