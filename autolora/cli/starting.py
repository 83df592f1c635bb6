"""The command that begins a study: init."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autolora.cli.app import AllowCode, Json, command
from autolora.cli.output import show

if TYPE_CHECKING:
    from autolora.study.template_look import Seen


@command("autolora init --modality image --model mobilenet_v2 --data digits --name mine --force")
def init(  # noqa: PLR0913 — one option each
    modality: Annotated[
        str | None, typer.Option(help="What the examples are: text, image or audio.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model: a name, a folder, a hub id, or code.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="The data: a file, a folder, or a data set by name.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="What is learnt; classification without it.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=COLUMN", help="A column and its role; repeatable."),
    ] = None,
    budget_rank: Annotated[
        int, typer.Option(min=1, help="An adapter may be as large as this uniform rank.")
    ] = 2,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="So many full trials by Optuna, in place of nest's two FT."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The study's name; that of the data without it.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The file; NAME.yaml without it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Write a commented study file for your model and data, after a look at both.

    On a terminal it asks for what is not given; elsewhere modality, model and data are needed.
    """
    from autolora.artifacts.files import write_text
    from autolora.study import draft, template_look
    from autolora.study.template_kinds import KINDS

    modality = _answer("--modality", modality, "what the examples are", choices=tuple(KINDS))
    kind = KINDS[modality]
    model = _answer("--model", model, "what is adapted", offered=kind.model)
    data = _answer("--data", data, "where the examples are")
    usual = next(iter(kind.roles))
    objective = _chosen("--objective", objective, usual, choices=tuple(kind.roles))
    seen = template_look.data(data)
    columns = _columns(kind.roles[objective], _given(column or []), seen)
    name = name or draft.name_of(data)
    answers = draft.Answers(
        name, modality, model, data, objective, columns, trials, budget_rank, allow_code
    )
    path = output or Path(f"{name}.yaml")
    draft.refuse_taken(path, force=force)
    made = draft.draft(answers, seen, path)
    write_text(path, made.text)
    told = {"study": name, "file": str(path), "next": f"autolora plan {path}"}
    note = None if made.built else "model or data could not be had: only the form was checked"
    show(told | ({"note": note} if note else {}), as_json=as_json)


def _given(words: list[str]) -> dict[str, str]:
    """The columns by role, of words ROLE=COLUMN."""
    from autolora.errors import OutOfRange

    for word in words:
        if not all(word.partition("=")):
            raise OutOfRange("--column", word, "a role and its column, as in label=grade")
    return {role: name for role, _, name in (word.partition("=") for word in words)}


def _columns(roles: tuple[str, ...], given: dict[str, str], seen: "Seen | None") -> dict[str, str]:
    """The column of each role: as given, or what its name suggests, which a terminal may change."""
    from autolora.study.template_kinds import guessed

    known = () if seen is None else seen.columns
    columns = dict(given)
    for role in roles:
        offered = guessed(role, known) or (role if not known else None)
        about = f"the column of the role {role}; there are {', '.join(known)}"
        if role not in columns:
            wanted = None if _asks() else offered
            columns[role] = _answer(
                f"--column {role}=COLUMN", wanted, about, offered=offered, choices=known
            )
    return columns


def _chosen(flag: str, given: str | None, usual: str, *, choices: tuple[str, ...]) -> str:
    """An answer that may be left out where nobody can be asked."""
    wanted = given or (None if _asks() else usual)
    return _answer(flag, wanted, "what is learnt", offered=usual, choices=choices)


def _answer(
    flag: str,
    given: str | None,
    about: str,
    *,
    offered: str | None = None,
    choices: tuple[str, ...] = (),
) -> str:
    """What was given, or what a person at the terminal says.

    Raises:
        AnswerMissing: if nothing was given and nobody can be asked.
        UnknownName: if it is none of the choices.
    """
    from rich.prompt import Prompt

    from autolora.errors import AnswerMissing, UnknownName

    if given is None and not _asks():
        raise AnswerMissing(flag, about)
    if given is None:
        title = f"{flag.lstrip('-')}: {about}"
        default = offered if offered is not None else ...
        given = str(Prompt.ask(title, choices=list(choices) or None, default=default))
    if choices and given not in choices:
        raise UnknownName(flag.lstrip("-"), given, choices)
    return given


def _asks() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()
