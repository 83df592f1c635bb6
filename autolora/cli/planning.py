"""Commands that tell what a search would do before it runs: space, plan."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autolora.cli.app import AllowCode, Json, StudyName, command
from autolora.cli.output import record, show, table, text

if TYPE_CHECKING:
    from autolora.study.overview import Overview
    from autolora.study.plan import Plan


@command("autolora space mobilenet_v2 --preset cnn-dense --budget-rank 2")
def space(  # noqa: PLR0913 — one option each
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="A model by name, or package.module:function."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A search space by name, or its YAML file.")
    ] = None,
    budget_rank: Annotated[
        int | None, typer.Option(min=1, help="A budget: the parameters of this uniform rank.")
    ] = None,
    parameters: Annotated[
        int | None, typer.Option(min=0, help="A budget: this many adapter parameters.")
    ] = None,
    head: Annotated[
        list[str] | None, typer.Option(help="A module trained in full; repeatable.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Show what a search space would search on a model, and what it costs in parameters.

    Without --preset: list the spaces that come along, and which of them fit the model.
    """
    from autolora.data.models import build
    from autolora.errors import OutOfRange
    from autolora.study.overview import Asked, fitting, looked_at

    if budget_rank is not None and parameters is not None:
        raise OutOfRange("--parameters beside --budget-rank", parameters, "one of the two")

    built = None if model is None else build(model, allow_code=allow_code)
    if built is None or model is None or preset is None:
        show(fitting(built), as_json=as_json)
        return
    asked = Asked(budget_rank, parameters)
    seen = looked_at(built, model, preset, head=head or (), asked=asked)
    show(asdict(seen), as_json=True) if as_json else _print_space(seen)


def _print_space(seen: "Overview") -> None:
    table(
        [
            {
                "group": group.name,
                "targets": len(group.targets),
                "ranks": " ".join(map(str, group.ranks)),
                "per rank": group.parameters_per_rank,
                "largest": group.parameters_largest,
                "first and last target": " … ".join(dict.fromkeys(group.targets[:: _ends(group)])),
            }
            for group in seen.groups
        ],
        title=f"{seen.space}: a rank for each group; columns of parameters",
    )
    print()
    record(_totals(seen))


def _ends(group: Any) -> int:
    """The step that leads from the first target to the last."""
    return max(1, len(group.targets) - 1)


def _totals(seen: "Overview") -> dict[str, Any]:
    low, high = seen.learning_rate
    scales = " or ".join(f"{rule} {text(value)}" for rule, value in seen.scales)
    facts: dict[str, Any] = {
        "numbers searched": seen.numbers,
        "learning rate": f"{text(low)} to {text(high)}",
        "scale": scales,
        **{f"uniform rank {r}": count for r, count in seen.uniform_parameters.items()},
        "largest": seen.largest_parameters,
        "head": seen.head_parameters,
        "taken by no group": ", ".join(seen.left_out) or None,
    }
    if seen.limit is not None:
        facts["budget"] = seen.limit.parameters
        facts["uniform rank in it"] = seen.limit.uniform_rank
    return facts


@command("autolora plan digits")
def plan(study: StudyName, allow_code: AllowCode = False, as_json: Json = False) -> None:
    """Tell what a study would do and cost, before it starts; a few steps are run to time them."""
    from autolora.study.description import read_study
    from autolora.study.plan import plan as planned
    from autolora.study.session import Session

    told = planned(Session(read_study(study), allow_code))
    show(asdict(told), as_json=True) if as_json else _print_plan(told)


def _print_plan(told: "Plan") -> None:
    table(
        [
            {
                "phase": phase.name,
                "trials": phase.trials,
                "": "" if phase.exact else "at most",
                "example-passes": phase.example_passes,
                "one worker": _duration(phase.seconds),
            }
            for phase in told.phases
        ],
        title=told.study,
    )
    print()
    targets = sum(len(group.targets) for group in told.space.groups)
    memory, timing = told.memory, told.timing
    budget = told.budget_parameters
    record(
        {
            "targets": f"{targets} in {len(told.space.groups)} groups",
            "numbers searched": told.space.numbers,
            "adapter at most": told.space.largest_parameters if budget is None else budget,
            **{f"uniform rank {r}": n for r, n in told.uniform_parameters.items() if r},
            "head": told.space.head_parameters,
            "memory of a worker": f"{_size(memory.peak_bytes)} at a step, measured: the model "
            f"{_size(memory.model_bytes)}, adapter {_size(memory.adapter_bytes)}, gradients "
            f"{_size(memory.gradient_bytes)}, AdamW {_size(memory.optimizer_bytes)}",
            "estimated time": f"{_duration(told.seconds)} with {told.workers} workers, "
            f"{told.at_once} at once",
            "measured": f"{timing.repeats} steps of {timing.batch} examples on {timing.device}, "
            f"{timing.threads} threads: {1000 * timing.trained:.3g} ms an example; "
            f"{1000 * timing.evaluated:.3g} ms to evaluate one",
        }
    )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    """A time as people say it, rounded: it is an estimate.

    >>> _duration(8.2), _duration(150), _duration(8000)
    ('8 s', '2.5 min', '2.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
