"""One measuring process: a number of threads, rows as lines of JSON on standard output.

`benchmarks.adapter` starts one for each number of threads.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.cases import Case, layer_cases, model_cases
from benchmarks.others import notes
from benchmarks.rows import Effort, measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--count", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    warnings.filterwarnings("ignore")
    effort = Effort(asked.seconds, 3 if asked.quick else 7, asked.count)
    for line in _lines(_cases(asked.only, quick=asked.quick), effort, asked):
        print(json.dumps(line), flush=True)


def _cases(only: str, *, quick: bool) -> list[Case]:
    cases = layer_cases(quick=quick) + model_cases(quick=quick)
    return [case for case in cases if only.lower() in case.name.lower()]


def _lines(cases: list[Case], effort: Effort, asked: Any) -> Iterator[dict[str, Any]]:
    for case in cases:
        sys.stderr.write(f"{asked.threads} thread(s): {case.name}\n")
        yield from (row.to_json() for row in measured(case, effort))
    if not asked.only:
        sys.stderr.write(f"{asked.threads} thread(s): merged, attached, mixed\n")
        yield from (note.to_json() for note in notes(effort, quick=asked.quick))


if __name__ == "__main__":
    main()
