"""Commands for adapters as files: export, apply."""

from pathlib import Path
from typing import Annotated

import typer

from autolora.cli.app import AllowCode, Format, Json, Storage, StudyName, command
from autolora.cli.output import show


@command("autolora export digits --to adapter --format peft")
def export(  # noqa: PLR0913 — one option each
    study: StudyName,
    to: Annotated[Path, typer.Option(help="The folder to write.")],
    format: Format = "autolora",  # noqa: A002
    arm: Annotated[str | None, typer.Option(help="Another arm than the best one's.")] = None,
    parameters: Annotated[
        int | None, typer.Option(min=1, help="Of a front, the best adapter of at most so many.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write the best adapter with its model card."""
    from autolora.study.study import Study

    opened = Study.open(study, storage)
    beside = opened.export(to, format=format, arm=arm, parameters=parameters)
    show({"folder": str(to), "format": format, "beside": list(beside)}, as_json=as_json)


@command("autolora apply adapter --model mobilenet_v2 --to merged.safetensors")
def apply(
    folder: Annotated[Path, typer.Argument(help="The folder of an adapter.")],
    model: Annotated[str, typer.Option(help="Its base, by name or package.module:function.")],
    to: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Merge an adapter into its base and write the weights of the plain model.

    `merge` is another name of `apply`.
    """
    from autolora.artifacts.merged import write_merged
    from autolora.data.models import build

    tensors = write_merged(build(model, allow_code=allow_code), folder, to)
    show({"file": str(to), "tensors": tensors}, as_json=as_json)


command("autolora merge adapter --model mobilenet_v2 --to merged.safetensors", name="merge")(apply)
