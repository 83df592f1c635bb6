"""Reading YAML that people wrote: every mistake becomes one sentence that says where."""

import os
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from autolora.errors import BadValue, BadYaml, NoSuchFile, UnknownKey
from autolora.registry import nearest

_MOST_BYTES = 1_000_000
_NO_KEY = ("extra_forbidden", "invalid_key")  # pydantic's words for a misspelt key
_PACKAGE = Path(__file__).parents[1]

Model = TypeVar("Model", bound=BaseModel)
Where = tuple[str | int, ...]


class Strict(BaseModel):
    """A description in which every key is known and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_answer(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads yes, no, on and off as true and false, and Python counts with those."""
        asked = cls.model_fields[info.field_name or ""].annotation is bool
        inside = value if isinstance(value, list | tuple) else [value]
        if not asked and any(isinstance(each, bool) for each in inside):
            raise ValueError("a yes or no is no answer here; put a word between quotes")
        return value


def find(name: str | os.PathLike[str], folder: str) -> Path:
    """A file by its path, or by its bare name in a folder of ours.

    Looked for in ./FOLDER, in the installed package, and beside the package.

    Raises:
        NoSuchFile: with the nearest names.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        if not _is_file(Path(name)):
            raise NoSuchFile(name, known(folder))
        return Path(name)
    for place in _places(folder):
        if _is_file(place / f"{name}.yaml"):
            return place / f"{name}.yaml"
    raise NoSuchFile(name, nearest(str(name), known(folder)) or known(folder))


def known(folder: str) -> tuple[str, ...]:
    """The bare names of the files in a folder of ours."""
    return tuple(sorted({file.stem for p in _places(folder) for file in p.glob("*.yaml")}))


def read_yaml(path: Path, model: type[Model]) -> Model:
    """A description from a file.

    Raises:
        NoSuchFile: if it cannot be read.
        BadYaml: if it is no YAML, with line and column, says a key twice, or is no mapping.
        UnknownKey: if a key is misspelt, with its line and the nearest.
        BadValue: if a value cannot be, with its line and what would be right.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadYaml(path, "it is larger than a megabyte")
        text = path.read_text(encoding="utf-8")
        data, root = _parsed(text)
    except UnicodeDecodeError as error:
        raise BadYaml(path, "it is no UTF-8 text") from error
    except OSError as error:
        raise NoSuchFile(path, ()) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadYaml(path, f"{where}{error.problem}") from error
    except RecursionError as error:
        raise BadYaml(path, "it is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        # What is no date, number or printable character has no mark.
        raise BadYaml(path, str(error).splitlines()[0]) from error
    if not isinstance(data, dict):
        raise BadYaml(path, "it holds no mapping of keys to values")
    return validate(data, model, str(path), root)


def validate(data: Any, model: type[Model], source: str, root: yaml.Node | None = None) -> Model:
    """A description from plain data; `source` and `root` tell where a mistake stands."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        where, first = _clearest(error, data)
        place = source + (f", line {line}" if (line := _line(root, where)) else "")
        if first["type"] in _NO_KEY:
            keys = _keys(model, where[:-1])
            near = nearest(str(where[-1]), keys, 1)
            raise UnknownKey(
                str(where[-1]), _dotted(where[:-1]), place, near=near, known=keys
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        # Of a rule about a description as a whole, the value would be all of it.
        value = None if first["type"] == "missing" or not where else first["input"]
        raise BadValue(_dotted(where) or "it", place, value, message) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system allows
        return False


def _places(folder: str) -> tuple[Path, ...]:
    return (Path(folder), _PACKAGE / folder, _PACKAGE.parent / folder)


def _parsed(text: str) -> tuple[Any, yaml.Node | None]:
    """What YAML says, and where; of a key that is said twice it would silently take the last."""
    data, root = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    if twice := _said_twice(root):
        problem = f'the key "{twice.value}" stands twice'
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=twice.start_mark)
    return data, root


def _said_twice(root: yaml.Node | None) -> yaml.ScalarNode | None:
    """A key that its mapping holds already."""
    nodes: list[yaml.Node | None] = [root]
    seen: set[int] = set()
    while nodes:
        node = nodes.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))  # an alias leads back to a node, perhaps the one around it
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                return key
            keys.add(key.value)  # no collection: YAML has refused one as a key
            nodes.append(value)
    return None


def _dotted(where: Sequence[str | int]) -> str:
    return ".".join(map(str, where))


def _clearest(error: ValidationError, data: Any) -> tuple[Where, ErrorDetails]:
    """The mistake to tell, and the place of its key.

    A misspelt key comes before the key that is missing for it. Where a value may be of several
    types, a mistake inside it comes before its not being of the other type.
    """
    found = [(_place(each, data), each) for each in error.errors()]
    deepest = {w[:n] for w, _ in found for n in range(len(w))}
    return min(
        found,
        key=lambda pair: (pair[1]["type"] not in _NO_KEY, pair[0] in deepest),
    )


def _place(error: ErrorDetails, data: Any) -> Where:
    """The keys that lead to a mistake; pydantic also names types that a value may be of."""
    where: Where = ()
    for part in error["loc"]:
        inside = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if inside or (isinstance(data, dict) and part in data):
            where, data = (*where, part), data[part]
    absent = error["type"] in ("missing", "invalid_key")
    return (*where, error["loc"][-1]) if absent else where


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The description classes inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, types.GenericAlias | types.UnionType) or typing.get_args(annotation):
        return [m for inner in typing.get_args(annotation) for m in _models(inner)]
    return []


def _keys(model: type[BaseModel], where: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that may stand at a place."""
    models = [model]
    for part in where:
        if isinstance(part, str):
            fields = [m.model_fields[part] for m in models if part in m.model_fields]
            models = [inner for field in fields for inner in _models(field.annotation)]
    return tuple(key for m in models for key in m.model_fields)


def _line(node: yaml.Node | None, where: Sequence[str | int]) -> int | None:
    """The line on which a key stands, or the nearest key around it."""
    line = None
    for part in where:
        if isinstance(node, yaml.MappingNode):
            pair = next((p for p in node.value if p[0].value == str(part)), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
