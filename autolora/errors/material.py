"""What tasks, models and data say."""

from collections.abc import Iterable, Mapping

from autolora.errors.kinds import AutoloraError, UsageError, listed


class UnknownAsset(UsageError):
    """An asset that the lock file does not name."""

    def __init__(self, name: str, near: Iterable[str]) -> None:
        super().__init__(
            f'no asset called "{name}"; nearest: {listed(near)}. '
            "List them with: autolora assets list"
        )


class NoMirrorFolder(UsageError):
    """AUTOLORA_ASSETS names something that is no folder."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f'AUTOLORA_ASSETS names "{path}", which is no folder; '
            "name a folder that holds the files, or unset it to download them"
        )


class FetchFailed(AutoloraError):
    """The archive of an asset could not be downloaded; `how` names the program that tried."""

    def __init__(self, name: str, file: str, reason: str, how: str = "") -> None:
        super().__init__(
            f'the asset "{name}" could not be downloaded{how}: {reason}; without a network, '
            f"set AUTOLORA_ASSETS to a folder that holds {file}"
        )


class AssetDamaged(AutoloraError):
    """A file that is not byte for byte what the lock file names."""

    def __init__(self, source: object, problem: str) -> None:
        super().__init__(
            f"{source} is not the file that autolora knows: {problem}; "
            "delete it and run: autolora assets fetch"
        )


class TooFewExamples(UsageError):
    """Splits that ask for more examples than the data holds."""

    def __init__(self, sizes: Mapping[str, int], available: int) -> None:
        asked = " + ".join(f"{size} {name}" for name, size in sizes.items())
        super().__init__(
            f"splits of {asked} examples need {sum(sizes.values())}, and the data holds "
            f"{available} distinct ones; make the splits smaller"
        )


class NoSuchModel(UsageError):
    """Code of the user's own that gives no model."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            f'"{name}" gives no model: {problem}; name a function without arguments, as in '
            "package.module:function"
        )


class CodeNotAllowed(UsageError):
    """A model that is code, where code was not allowed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'"{name}" would run code of your own; if you trust it, allow it with --allow-code'
        )


class NoPredictions(UsageError):
    """A metric that needs predictions, of a task that gives only losses."""

    def __init__(self) -> None:
        super().__init__(
            "a metric needs predictions, and this task gives only losses; "
            "leave the metric out, or measure loss or perplexity"
        )


class MetricDoesNotFit(UsageError):
    """A metric of answers that the objective does not give."""

    def __init__(self, name: str, of: Iterable[str], given: str, able: Iterable[str]) -> None:
        super().__init__(
            f"the metric {name} measures {' or '.join(of)}, and under this objective a model "
            f"answers with {given}; take some of {listed(able)}"
        )


class NotItsWeights(UsageError):
    """A file that does not hold the weights of a model."""

    def __init__(self, path: object, model: str, problem: str) -> None:
        super().__init__(
            f"{path} does not hold the weights of {model}: {problem}; "
            "name a .pt, .pth or .safetensors file with its state_dict"
        )


class NoSuchTask(UsageError):
    """Code of the user's own that gives no task."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            f'"{name}" gives no task: {problem}; name a function without arguments whose result '
            "has model(), batches(split, batch_size=, seed=) and loss(model, batch), in a module "
            "that Python finds (its folder on PYTHONPATH)"
        )
