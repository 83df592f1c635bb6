"""The application, its shared options, and how a command ends."""

import functools
import re
import signal
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from typer.core import TyperGroup

from autolora.cli.address import given
from autolora.errors import AutoloraError
from autolora.errors.secret import redacted

_ORDER = (
    "targets space assets init plan search worker status logs pause resume stop trials leaderboard "
    "best explain export apply merge resize stack extract report dashboard metrics db deliver "
    "doctor env".split()
)


class InOrder(TyperGroup):
    """The commands in the order in which one meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names; one that the order does not know comes last."""
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


app = typer.Typer(
    name="autolora",
    cls=InOrder,
    help="Finds which weights of a PyTorch model to adapt with LoRA, and at which rank.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show addresses with passwords
    epilog="Example: autolora search digits",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"autolora {version('autolora')}")
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    pass


def _stored_at(address: str | None) -> str | None:
    try:
        return given(address)
    except AutoloraError as error:
        fail(str(error), error.exit_code)


Storage = Annotated[
    str | None,
    typer.Option(
        envvar="AUTOLORA_STORAGE",
        help="Database URL; without one, that in the file AUTOLORA_STORAGE_FILE, or "
        "runs/STUDY/study.db.",
        show_default=False,
        callback=_stored_at,
    ),
]
Format = Annotated[str, typer.Option(help="autolora, peft, peft_uniform, diffusers or kohya.")]
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="Run code of your own (package.module:function)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name or YAML file.")]

Command = TypeVar("Command", bound=Callable[..., None])


def command(example: str, *, name: str | None = None) -> Callable[[Command], Command]:
    """Registers a command whose help ends with an example, and decides how it ends."""

    def register(function: Command) -> Command:
        app.command(name, epilog=f"Example: {example}")(ending(function))
        return function

    return register


def ending(function: Command) -> Command:
    """One sentence and an exit code for what a user can meet; a traceback is a bug of ours."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupted)
        try:
            function(*args, **kwargs)
        except AutoloraError as error:
            fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            again = " ".join(["autolora", *map(unseen, sys.argv[1:])])
            fail(f"interrupted; everything finished is kept. Go on with: {again}", 130)
        except BrokenPipeError:
            sys.stderr.close()
            raise SystemExit(0) from None
        except Exception:
            _told_unseen(traceback.format_exc())
            raise

    return run  # type: ignore[return-value]


def _told_unseen(words: str) -> None:
    """Tells a traceback that holds a password without it, and ends the command."""
    told = redacted(words)
    if told != words:
        sys.stderr.write(told)
        raise SystemExit(1) from None


def fail(message: str, exit_code: int) -> NoReturn:
    """Ends the command with a sentence on standard error."""
    print(f"autolora: {message}", file=sys.stderr)
    raise SystemExit(exit_code)


def unseen(word: str) -> str:
    """A word of a command without the password of an address in it.

    >>> unseen("postgresql+psycopg://ada:secret@db/studies?sslpassword=x")
    'postgresql+psycopg://ada:***@db/studies?sslpassword=***'
    """
    bare = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", word)
    return re.sub(r"(?i)([?&]\w*(?:pass|secret|token|key)\w*=)[^&]*", r"\1***", bare)


def _interrupted(number: int, frame: object) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt
