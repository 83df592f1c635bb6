"""A first study file, with comments: what `autolora init` writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from autolora.study.template_kinds import KINDS


@dataclass(frozen=True)
class Wishes:
    """What a person wants of a study.

    Attributes:
        modality: The type of the task.
        columns: The column of each role whose column has another name.
        made: The splits that are to be made; the others are given.
        space: The name of a search space, or a space as plain data.
        steps: How long a trial trains.
        trials: How many trials Optuna's sampler has; None for `nest`, with the compute of two.
        schema: Where an editor finds the schema.
        file: The study file, as commands name it.
        allow_code: Whether the study needs --allow-code.
    """

    name: str
    modality: str
    model: str
    data: str
    objective: str
    columns: Mapping[str, str]
    made: tuple[str, ...]
    space: str | Mapping[str, Any]
    steps: int
    trials: int | None
    budget_rank: int
    schema: str
    file: str
    allow_code: bool = False


def template(wishes: Wishes) -> str:
    """The study as commented YAML."""
    kind = KINDS[wishes.modality]
    called = wishes.file + (" --allow-code" if wishes.allow_code else "")
    roles = ", ".join(kind.roles[wishes.objective])
    objectives = ", ".join(kind.roles)
    return f"""\
# yaml-language-server: $schema={wishes.schema}
# What it would do and cost:  autolora plan {called}
# A small one of it first:    autolora search {called} --smoke
# The search:                 autolora search {called}
schema_version: 1
name: {said(wishes.name)}
task:
  type: {wishes.modality}
  # {kind.models}
  model: {said(wishes.model)}
  # One of {objectives}.
  objective: {wishes.objective}
  data:
    # A file (csv, tsv, jsonl, parquet), a folder, a data set by name, or hub:owner/name.
    path: {said(wishes.data)}
    # role: column. Roles: {roles}; group (a speaker, a patient) keeps examples in one split.
    columns: {said(dict(wishes.columns))}
{_splits(wishes.made)}
# Which weights are adapted, tied how, at which ranks; see: autolora space
space: {_space(wishes.space)}
training:
  steps: {wishes.steps}  # of one trial
  batch_size: {kind.batch_size}
  evaluations: 5  # of the validation split, spread over the steps; a pruner may stop a trial there
  warmup: 0.1
  device: auto
  # accumulate: 2   # halves the memory of a step
  # patience: 2     # ends a trial after so many evaluations without a lower loss
# What is optimised on the validation split; and_parameters: true also wants small adapters.
objective: {{metric: loss, direction: minimize}}
{_spending(wishes)}
# The best of every arm is measured on the test split with so many seeds.
confirm: {{seeds: 3}}
backend: {{name: process, workers: 2}}
seed: 0
"""


def said(value: Any) -> str:
    """A value as YAML has it on one line.

    >>> said({"label": "grade: A"}), said("yes"), said("Über.csv")
    ("{label: 'grade: A'}", "'yes'", 'Über.csv')
    """
    listed = yaml.safe_dump(
        [value], default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False
    )
    return str(listed).strip()[1:-1]


_NEST = """\
# How the budget is spent: nest trains one adapter of high rank, tries allocations on it without
# training, and trains the best to its end. Others: optuna, quick, pareto, ...; docs/strategies.md.
strategy: nest
# ft: compute of the search and its final run, in fine-tunes of `steps`. uniform_rank: an adapter
# may have as many parameters as this rank at every target has.
budget: {{ft: 2.0, uniform_rank: {rank}}}
# What the search is compared with, at so many learning rates, beside its budget.
baselines: {{uniform_ranks: [{rank}], learning_rates: 3}}"""

_OPTUNA = """\
# How the budget is spent: full trials of what the sampler proposes. nest does with less.
strategy: optuna
sampler: {{name: tpe}}
pruner: {{name: median}}
# uniform_rank: an adapter may have as many parameters as this rank at every target has.
budget: {{trials: {trials}, uniform_rank: {rank}}}
# What the search is compared with, each at so many learning rates; the head alone is always there.
baselines: {{uniform_ranks: {ranks}, learning_rates: 3}}"""


def _spending(wishes: Wishes) -> str:
    """Strategy, budget and baselines."""
    rank = wishes.budget_rank
    if wishes.trials is None:
        return _NEST.format(rank=rank)
    return _OPTUNA.format(trials=wishes.trials, rank=rank, ranks=_ranks(rank))


def _splits(made: tuple[str, ...]) -> str:
    shares = dict.fromkeys(made, 0.15)
    if not made:
        return (
            "    # The splits are given; sizes draw a part of each: counts, or shares.\n"
            "    # splits: {train: 1000, valid: 200, test: 400, seed: 0}"
        )
    return (
        "    # Counts, or shares; train is the rest. Stratified by label; the seed deals.\n"
        f"    splits: {said({**shares, 'seed': 0})}"
    )


def _space(space: str | Mapping[str, Any]) -> str:
    """By its name, or whole and indented."""
    if isinstance(space, str):
        return said(space)
    lines = yaml.safe_dump(dict(space), sort_keys=False, default_flow_style=None).splitlines()
    return "\n" + "\n".join(f"  {line}" for line in lines)


def _ranks(budget_rank: int) -> list[int]:
    return sorted({1, budget_rank, 2 * budget_rank})
