"""A first study file, from a few answers: looked at, checked, written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from autolora.errors import FileTaken
from autolora.space.read import validate
from autolora.study import template_look as look
from autolora.study.description import StudySpec, with_space
from autolora.study.template import Wishes, template
from autolora.study.template_kinds import KINDS

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Answers:
    """What a person said; `columns` holds the column of every role."""

    name: str
    modality: str
    model: str
    data: str
    objective: str
    columns: Mapping[str, str]
    trials: int | None = None
    budget_rank: int = 2
    allow_code: bool = False


@dataclass(frozen=True)
class Draft:
    """The text of a study file, and whether its task was built to try it."""

    text: str
    built: bool


def draft(answers: Answers, seen: look.Seen | None, path: Path) -> Draft:
    """The study file at `path`; the task is built once, so that it is known to work.

    Where the model or the data cannot be had now, as without a network, only the form is checked.

    Raises:
        UsageError: if data, model or options cannot be, with the reason.
    """
    kind, columns = KINDS[answers.modality], dict(answers.columns)
    columns = {role: column for role, column in columns.items() if role != column}
    made = ("valid", "test") if seen is None else seen.made
    options = {
        "model": answers.model,
        "objective": answers.objective,
        "data": {"path": answers.data, "columns": columns},
    }
    found = look.space(answers.modality, options, allow_code=answers.allow_code)
    text = template(
        Wishes(
            name=answers.name,
            modality=answers.modality,
            model=answers.model,
            data=answers.data,
            objective=answers.objective,
            columns=columns,
            made=made,
            space=found or look.usual_space(answers.modality, answers.objective),
            steps=look.steps(None if seen is None else seen.rows, kind.batch_size, made),
            trials=answers.trials,
            budget_rank=answers.budget_rank,
            schema=schema_file(path.parent),
            file=str(path),
            allow_code=answers.allow_code,
        )
    )
    checked(text)
    return Draft(text, built=found is not None)


def checked(text: str) -> StudySpec:
    """The study that a text describes, its space read in."""
    return with_space(validate(yaml.safe_load(text), StudySpec, "the study"))


def refuse_taken(path: Path, *, force: bool) -> None:
    """Makes sure that no file is replaced that is not to be.

    Raises:
        FileTaken: if it is there.
    """
    if path.exists() and not force:
        raise FileTaken(path)


def name_of(data: str) -> str:
    """A name for a study of such data.

    >>> name_of("data/my reviews.csv"), name_of("hub:nyu-mll/glue/cola"), name_of("//")
    ('my-reviews', 'cola', 'study')
    """
    stem = Path(data.rstrip("/")).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:48] or "study"


def schema_file(folder: Path) -> str:
    """Where editors find the schema of a file in a folder: relative below it, else absolute."""
    places = (_PACKAGE / "schema", _PACKAGE.parent / "docs" / "schema")
    schemas = next((place for place in places if place.is_dir()), places[0])
    path, here = schemas / "study.schema.json", folder.absolute()
    return str(path.relative_to(here)) if path.is_relative_to(here) else path.as_uri()
