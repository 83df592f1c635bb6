"""What data of the user's own say: files, columns, rows, classes, splits."""

from collections.abc import Iterable, Mapping

from autolora.errors.kinds import UsageError, listed

_LONGEST = 60  # of a value of unknown origin inside a sentence


class NoSuchData(UsageError):
    """A name that is neither a file, nor a folder, nor a data set of ours."""

    def __init__(self, where: str, near: Iterable[str]) -> None:
        super().__init__(
            f'there are no data at "{_short(where)}": it is no file, no folder and no data set of '
            f"ours (nearest: {listed(near)}); write a path, one of these names, or hub:owner/name"
        )


class NoSuchSplit(UsageError):
    """A place with several tables and none for a split."""

    def __init__(self, where: str, split: str, there: Iterable[str]) -> None:
        super().__init__(
            f"{where} has no split {split}; it has {listed(there) or 'none of train, valid, test'}."
            " Name the table of each split under train, valid and test"
        )


class UnknownFormat(UsageError):
    """A file that no reader reads."""

    def __init__(self, path: object, suffixes: Iterable[str]) -> None:
        super().__init__(
            f"{path} is in no format that is read here; there are {listed(suffixes)}, and folders"
        )


class UnreadableData(UsageError):
    """A file that is not what its name says."""

    def __init__(self, place: object, problem: str) -> None:
        super().__init__(f"{place} cannot be read: {_short(problem)}; correct it and run again")


class NoExamples(UsageError):
    """A table without rows."""

    def __init__(self, source: object) -> None:
        super().__init__(f"{source} holds no examples; name a table that has some")


class DataUnreachable(UsageError):
    """A data set of the hub that cannot be had, be it for its name or for the network."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f'the data set "{name}" cannot be had from the hub: {_short(reason)}; check its name '
            "and the network, or save it with datasets' save_to_disk and name that folder"
        )


class NotAFolderOfClasses(UsageError):
    """A folder that is no folder per class."""

    def __init__(self, folder: object, problem: str) -> None:
        super().__init__(
            f"{folder} is read as one folder a class, and {problem}; arrange it as CLASS/file, "
            "or as train/CLASS/file with valid and test beside train"
        )


class MissingColumn(UsageError):
    """A table without a column that a role needs."""

    def __init__(
        self, source: str, named: tuple[str, str], near: str, there: Iterable[str]
    ) -> None:
        role, column = named
        asked = "" if role == column else f' for the role "{role}"'
        super().__init__(
            f'{source} has no column "{column}"{asked}; it has {listed(there)}. '
            f"Name the right one under columns, as in columns: {{{role}: {near}}}"
        )


class UnknownRole(UsageError):
    """A role that the task does not read."""

    def __init__(self, role: str, roles: Iterable[str]) -> None:
        super().__init__(
            f'this task reads no role "{role}"; its roles are {listed(roles)}. '
            "Under columns each role has its column: columns: {role: column}"
        )


class RepeatedColumn(UsageError):
    """Two columns of one name."""

    def __init__(self, source: str, name: str) -> None:
        super().__init__(f'{source} has two columns called "{name}"; give each its own name')


class RaggedRow(UsageError):
    """A row with more or fewer values than the header has names."""

    def __init__(self, place: str, found: int, expected: int) -> None:
        super().__init__(
            f"{place} has {_counted(found, 'value')} and the header {_counted(expected, 'name')}; "
            "put values that hold the delimiter between double quotes"
        )


class MissingValue(UsageError):
    """A row without a value where one is needed."""

    def __init__(self, place: str, role: str) -> None:
        super().__init__(f'{place} has no value for the role "{role}"; give it one or drop the row')


class EmptyText(UsageError):
    """A text without a character."""

    def __init__(self, place: str, role: str) -> None:
        super().__init__(
            f'{place} has an empty text for the role "{role}"; drop the row, or allow empty texts '
            "with allow_empty: true"
        )


class NotANumber(UsageError):
    """A value that should be a number."""

    def __init__(self, place: str, role: str, value: object) -> None:
        super().__init__(
            f'{place} has {_value(value)} for the role "{role}", which must be a finite number; '
            "correct it, or take the objective classification if it names a class"
        )


class NotAList(UsageError):
    """A value that should be a list of texts."""

    def __init__(self, place: str, role: str, value: object) -> None:
        super().__init__(
            f'{place} has {_value(value)} for the role "{role}", which must be a list; '
            "write a list of texts, or in a CSV file texts with | between them"
        )


class NotAText(UsageError):
    """A value that should be a text."""

    def __init__(self, place: str, role: str, value: object) -> None:
        super().__init__(
            f'{place} has {_value(value)} for the role "{role}", which must be a text; '
            "name another column for it"
        )


class NoSuchMedia(UsageError):
    """A row that names a file that is not there."""

    def __init__(self, place: str, path: object) -> None:
        super().__init__(
            f"{place} names the file {path}, which is not there; paths are relative to the folder "
            "of the table, or absolute"
        )


class NotMedia(UsageError):
    """A file that is no image or no sound."""

    def __init__(self, place: str, path: object, kinds: str) -> None:
        super().__init__(
            f"{place}: {path} is no {kinds} file; replace it or take it out of the data"
        )


class OneClass(UsageError):
    """Labels without a choice."""

    def __init__(self, source: str, role: str, label: str) -> None:
        super().__init__(
            f'all of train ({source}) has the {role} "{_short(label)}"; there is nothing to learn '
            "with one class, at least two are needed"
        )


class UnseenLabel(UsageError):
    """A label of valid or test that train does not have."""

    def __init__(self, place: str, split: str, label: str, known: Iterable[str]) -> None:
        names = list(known)
        shown = listed(names[:8]) + (", …" if len(names) > 8 else "")
        super().__init__(
            f'{place}, which is in {split}, has the label "{_short(label)}", which no example of '
            f"train has; train has {shown}. Correct it, drop the row or enlarge train"
        )


class SplitsOverlap(UsageError):
    """Equal examples in two given splits."""

    def __init__(self, first: str, second: str, count: int, example: tuple[str, str]) -> None:
        super().__init__(
            f"{first} and {second} have {_counted(count, 'example')} in common (first "
            f"{example[0]} and {example[1]}), so that {second} would measure what was learnt by "
            f"heart; drop them from {first} yourself or with overlap: drop"
        )


class GroupsOverlap(UsageError):
    """One group in two given splits."""

    def __init__(self, first: str, second: str, count: int, example: str) -> None:
        super().__init__(
            f"{first} and {second} have {_counted(count, 'group')} in common "
            f'(first "{_short(example)}"), and a group must lie in one split; move them, or give '
            "one table under path and let "
            "the splits be made"
        )


class TooFewGroups(UsageError):
    """Groups that cannot be dealt into splits of these sizes."""

    def __init__(self, groups: int, asked: Mapping[str, int], found: Mapping[str, int]) -> None:
        super().__init__(
            f"{_counted(groups, 'group')} cannot be dealt into splits of {_sizes(asked)} examples, "
            f"each group in one split; the nearest are {_sizes(found)}. Ask for other sizes, or "
            "name a column with smaller groups for the role group"
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _sizes(sizes: Mapping[str, int]) -> str:
    return " + ".join(f"{size} {name}" for name, size in sizes.items())


def _value(value: object) -> str:
    return _short(repr(value))


def _short(text: str) -> str:
    """Text of any origin as a part of one sentence: one line, printable, not long."""
    plain = "".join(c if c.isprintable() else " " for c in text[: 5 * _LONGEST])
    return plain if len(plain) <= 4 * _LONGEST else f"{plain[: 4 * _LONGEST]}…"
