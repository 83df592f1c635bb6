"""Commands that make adapters from adapters and fine-tunes: resize, stack, extract."""

from pathlib import Path
from typing import Annotated, Any

import typer

from autolora.cli.app import AllowCode, Format, Json, command
from autolora.cli.output import show, table

To = Annotated[Path, typer.Option(help="The folder to write.")]
Rank = Annotated[int | None, typer.Option(help="The highest rank of every target.")]
Parameters = Annotated[int | None, typer.Option(help="A budget over all targets together.")]
Energy = Annotated[
    float | None, typer.Option(help="The share of squared singular values that targets keep.")
]
Base = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="The base, which other formats than ours need to be read."),
]


@command("autolora resize runs/digits/adapter --energy 0.9 --to smaller")
def resize(  # noqa: PLR0913 — one option each
    folder: Annotated[Path, typer.Argument(help="The folder of an adapter.")],
    to: To,
    rank: Rank = None,
    parameters: Parameters = None,
    energy: Energy = None,
    model: Base = None,
    format: Format = "autolora",  # noqa: A002
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Make an adapter smaller, and tell what that loses."""
    from autolora.artifacts.folder import save
    from autolora.artifacts.resize import resize as smaller
    from autolora.artifacts.size import size

    size(rank=rank, parameters=parameters, energy=energy)  # before a model is built in vain
    adapter = _opened(folder, model, allow_code=allow_code)
    made = smaller(adapter, rank=rank, parameters=parameters, energy=energy)
    beside = save(made.adapter, to, format=format)
    _tell(made, {"folder": str(to), "format": format, "beside": list(beside)}, as_json=as_json)


@command("autolora stack runs/digits/adapter=0.7 smaller=0.3 --to stacked")
def stack(  # noqa: PLR0913 — one option each
    folders: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER[=WEIGHT]...", help="Adapters of one base; weight 1."),
    ],
    to: To,
    model: Base = None,
    format: Format = "autolora",  # noqa: A002
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Add up adapters of one base, each with its weight, exactly."""
    from autolora.artifacts.combine import stack as stacked
    from autolora.artifacts.folder import save

    weighted = [_weighted(word) for word in folders]
    read = [(_opened(f, model, allow_code=allow_code), weight) for f, weight in weighted]
    adapter = stacked(read)
    beside = save(adapter, to, format=format)
    told = {
        "folder": str(to),
        "format": format,
        "beside": list(beside),
        "parameters": adapter.parameters,
    }
    if as_json:
        show({**told, "allocation": dict(adapter.allocation)}, as_json=True)
        return
    show(told, as_json=False)
    table([{"target": name, "rank": rank} for name, rank in adapter.allocation.items()])


@command(
    "autolora extract mobilenet_v2 merged.safetensors --head classifier.1 --rank 4 --to extracted"
)
def extract(  # noqa: PLR0913 — one option each
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The base, by name or as code.")],
    checkpoint: Annotated[Path, typer.Argument(help="Its fine-tune: safetensors or torch.save.")],
    to: To,
    rank: Rank = None,
    parameters: Parameters = None,
    energy: Energy = None,
    match: Annotated[list[str] | None, typer.Option(help="Glob, or re:REGEX; repeatable.")] = None,
    head: Annotated[
        list[str] | None, typer.Option(help="A module to keep in full; repeatable.")
    ] = None,
    full: Annotated[
        bool, typer.Option(help="Keep changed parameters that are no targets in full.")
    ] = True,
    format: Format = "autolora",  # noqa: A002
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Make an adapter of a full fine-tune, and tell what that loses."""
    from autolora.artifacts.extract import extract as extracted
    from autolora.artifacts.folder import save
    from autolora.artifacts.size import size
    from autolora.data.models import build

    size(rank=rank, parameters=parameters, energy=energy)
    made = extracted(
        build(model, allow_code=allow_code),
        checkpoint,
        rank=rank,
        parameters=parameters,
        energy=energy,
        select=match or ("*",),
        heads=head or (),
        full=full,
    )
    beside = save(made.adapter, to, format=format)
    told = {"folder": str(to), "format": format, "beside": list(beside)}
    kept = {"in full": sorted(made.adapter.full), "left out": list(made.left_out)}
    _tell(made, {**told, **kept}, as_json=as_json)


def _opened(folder: Path, model: str | None, *, allow_code: bool) -> Any:
    from autolora.artifacts.source import opened
    from autolora.data.models import build

    return opened(folder, build(model, allow_code=allow_code) if model else None)


def _weighted(word: str) -> tuple[Path, float]:
    """The folder and the weight that FOLDER=WEIGHT names; a folder may have = in its name."""
    from autolora.errors import OutOfRange

    name, equals, weight = word.rpartition("=")
    if not equals or Path(word).exists():
        return Path(word), 1.0
    try:
        return Path(name), float(weight)
    except ValueError as error:
        allowed = f"a number, as in {name}=0.7"
        raise OutOfRange(f"the weight of {name}", repr(weight), allowed) from error


def _tell(made: Any, told: dict[str, Any], *, as_json: bool) -> None:
    """What was written, at which ranks, and what each target lost."""
    adapter = made.adapter
    sums = {**told, "parameters": adapter.parameters, "error": made.error}
    if as_json:
        ranks = dict(adapter.allocation)
        show({**sums, "allocation": ranks, "errors": dict(made.errors)}, as_json=True)
        return
    show(sums, as_json=False)
    table(
        [
            {"target": name, "rank": adapter.allocation.get(name, 0), "error": error}
            for name, error in made.errors.items()
        ]
    )
