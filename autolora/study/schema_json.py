"""JSON schemas of studies and search spaces, for editors: `python -m autolora.study.schema_json`.

They say what pydantic says, and beside it what validators allow: short forms, and the options that
belong to a task's type or to the name of a sampler or a pruner.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import BaseModel, create_model

from autolora import backends, pruners, samplers, strategies, tasks
from autolora.lora.scale import RULES
from autolora.registry import load, names, options
from autolora.space.read import Strict
from autolora.space.spec import SpaceSpec
from autolora.study.description import StudySpec

Schema = dict[str, Any]
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DOTTED = r"\."
_SHORT: Mapping[tuple[str, str], Schema] = {
    ("Group", "match"): {"type": "string"},
    ("TrainingRanges", "scale"): {"$ref": "#/$defs/Scale"},
}


def study_schema() -> Schema:
    """The schema of `studies/*.yaml`."""
    schema = _schema(StudySpec)
    properties, definitions = schema["properties"], schema["$defs"]
    known = [name for name in names(tasks) if _options(name)]
    properties["task"] = _one_of("type", [_task(name, definitions) for name in known])
    for kind, folder in (("sampler", samplers), ("pruner", pruners)):
        properties[kind] = _one_of("name", [_case(folder, kind, name) for name in names(folder)])
    cases = [_strategy(name, definitions) for name in names(strategies)]
    chosen = {"anyOf": [_names(strategies), _one_of("name", cases)]}
    properties["strategy"] = chosen
    definitions["Baselines"]["properties"]["strategies"] |= {"items": chosen}
    definitions["Backend"]["properties"]["name"] |= _names(backends)
    return _finished(schema, "A study of autolora")


def space_schema() -> Schema:
    """The schema of `search_spaces/*.yaml`."""
    return _finished(_schema(SpaceSpec), "A search space of autolora")


def write(folder: Path) -> tuple[Path, ...]:
    """Writes both schemas into a folder; gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in (("study", study_schema()), ("space", space_schema())):
        path = folder / f"{name}.schema.json"
        path.write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")
        written.append(path)
    return tuple(written)


def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(mode="validation")


def _options(name: str) -> type[BaseModel] | None:
    """The options of a task, as its file declares them."""
    return getattr(load(tasks, name), "OPTIONS", None)


def _task(name: str, definitions: dict[str, Any]) -> Schema:
    """The options of a task; what they refer to joins the definitions, under the task's name."""
    model = _options(name)
    assert model is not None
    schema = model.model_json_schema(mode="validation", ref_template=f"#/$defs/{name}.{{model}}")
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = definition
    return schema | _named(schema, "type", name)


def _strategy(name: str, definitions: dict[str, Any]) -> Schema:
    """The options of a strategy; what they refer to joins the definitions."""
    model = getattr(load(strategies, name), "OPTIONS", Strict)
    schema = model.model_json_schema(mode="validation", ref_template=f"#/$defs/{name}.{{model}}")
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = definition
    schema["properties"] = {"arm": {"type": "string"}, **schema.get("properties", {})}
    return schema | _named(schema, "name", name)


def _case(folder: ModuleType, kind: str, name: str) -> Schema:
    """The options of a sampler or a pruner: keyword parameters with a default."""
    function = getattr(load(folder, name), kind)
    types = get_type_hints(function, include_extras=True)
    fields: Any = {
        option: (types.get(option, Any), default)
        for option, default in options(function, {}, kind).items()
    }
    model = create_model(name, __base__=Strict, __doc__=function.__doc__, **fields)
    schema = _schema(model)
    return schema | _named(schema, "name", name)


def _named(schema: Schema, key: str, name: str) -> Schema:
    """The part of a schema that says by which key it is told from the others."""
    return {
        "properties": {key: {"const": name}, **schema.get("properties", {})},
        "required": [key, *schema.get("required", ())],
    }


def _one_of(key: str, schemas: list[Schema]) -> Schema:
    """One of ours, told by a key; a dotted name is a module of the user's own."""
    own = {"properties": {key: {"type": "string", "pattern": _DOTTED}}, "required": [key]}
    return {"type": "object", "oneOf": [*schemas, own]}


def _names(folder: ModuleType) -> Schema:
    """The names of a folder are offered; a dotted name of the user's own is as good."""
    return {"anyOf": [{"enum": list(names(folder))}, {"type": "string", "pattern": _DOTTED}]}


def _finished(schema: Schema, title: str) -> Schema:
    """Adds the short forms that validators read, and the names of the scale rules."""
    definitions = schema["$defs"]
    for (owner, field), short in _SHORT.items():
        properties = definitions[owner]["properties"]
        whole = properties[field]
        kept = {k: whole.pop(k) for k in ("default", "title") if k in whole}
        properties[field] = {"anyOf": [short, whole], **kept}
    for name in [name for name in definitions if name.endswith("DataOptions")]:
        definitions[name] = {"anyOf": [{"type": "string"}, definitions[name]]}
    definitions["Scale"]["properties"]["rule"] |= {"enum": list(RULES)}
    return {"$schema": _DRAFT, "title": title} | {k: v for k, v in schema.items() if k != "title"}


def main() -> None:
    """Writes the schemas into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Writes the JSON schemas of studies and spaces.")
    parser.add_argument("folder", type=Path, help="as docs/schema")
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
