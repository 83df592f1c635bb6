"""Where PEFT differs from the dense sum: the table, what is observed, and the page made of both.

Run: python tests/interop/peft_differences.py   (writes docs/results/peft-differences.md)
"""

import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from peft_cases import CASES, Case
from peft_twins import MODES, OtherShape, answer, deltas, plain, with_dense, with_peft
from torch import Tensor

PAGE = Path(__file__).parents[2] / "docs" / "results" / "peft-differences.md"
STAGES = (*MODES, "merged")
TOLERANCE = 1e-9

SAME, OTHER = "same", "other"


@dataclass(frozen=True)
class Difference:
    """What becomes of a case in each stage, in the order of `STAGES`, and why."""

    outcomes: tuple[str, str, str, str]
    why: str


def _always(outcome: str, why: str) -> Difference:
    return Difference((outcome,) * 4, why)


def _until_merged(outcome: str, why: str) -> Difference:
    return Difference((outcome, outcome, outcome, SAME), why)


_BYPASSED = "the parent reads the weight and never calls PEFT's layer: the base answers"
_FUSED = "torch's fused path reads the weights: in evaluation the base answers, silently"
_GROUPS = "the factor on the input spans all groups: no delta within the groups fits it"
_TWICE = "the delta of the output projection is added twice, merged or not"
_GEOMETRY = "the factor on the input is built without dilation and padding_mode"

DIFFERENCES = {
    "subclass of linear that scales its weight": _until_merged(
        OTHER, "the delta is added to the output, so the layer's own forward does not scale it"
    ),
    "embedding bag": _always("ValueError", "no layer for it"),
    "conv1d dilation": _until_merged("RuntimeError", _GEOMETRY),
    "conv1d groups": _always("OtherShape", _GROUPS),
    "conv2d padding=same, dilation": _until_merged(OTHER, _GEOMETRY),
    "conv2d dilation": _until_merged("RuntimeError", _GEOMETRY),
    "conv2d padding_mode=reflect": _until_merged(OTHER, _GEOMETRY),
    "conv2d padding_mode=replicate": _until_merged(OTHER, _GEOMETRY),
    "conv2d padding_mode=circular": _until_merged(OTHER, _GEOMETRY),
    "conv2d groups": _always("OtherShape", _GROUPS),
    "conv2d depthwise": _always("ValueError", "the rank must be a multiple of the groups"),
    "conv3d 1×1×1": Difference(
        (SAME, SAME, SAME, "RuntimeError"), "the merge takes the kernel for a flat one"
    ),
    "conv3d 1×1×3": Difference(
        (SAME, SAME, SAME, "RuntimeError"), "the merge takes the kernel for a flat one"
    ),
    "conv transposed": _always("ValueError", "no layer for it"),
    "parent that reads .stride": _until_merged(
        "AttributeError", "PEFT's layer has not the attributes of the layer it replaces"
    ),
    "attention": _always(OTHER, _TWICE),
    "attention, batch first": _always(OTHER, _TWICE),
    "attention to keys of another width": _always("ValueError", "no layer for it"),
    "attention, out_proj alone": _until_merged(OTHER, _BYPASSED),
    "encoder layer, feed-forward": Difference((SAME, OTHER, OTHER, SAME), _FUSED),
    "encoder layer, in_proj": Difference((SAME, OTHER, OTHER, SAME), _FUSED),
    "parent that reads .weight": _until_merged(OTHER, _BYPASSED),
    "tied vocabulary": _until_merged(
        OTHER, "only the look-up has the delta; merged, both users of the weight have it"
    ),
    "layer under two names": _until_merged(
        OTHER, "only the first name has the delta; merged, both have it"
    ),
    "bilinear": _always("ValueError", "no layer for it"),
}


def expected(case: Case) -> tuple[str, ...]:
    """What becomes of a case by the table."""
    return DIFFERENCES[case.name].outcomes if case.name in DIFFERENCES else (SAME,) * 4


@dataclass(frozen=True)
class Outcome:
    """What PEFT did: the same as the dense sum, something other, or the name of an error."""

    word: str
    detail: str = ""


@cache
def observed(case: Case) -> tuple[Outcome, ...]:
    """What becomes of a case in each stage."""
    return tuple(_observed(case, stage) for stage in STAGES)


def _observed(case: Case, stage: str) -> Outcome:
    mode = "no_grad" if stage == "merged" else stage
    added = deltas(case)
    wanted = answer(with_dense(case, added), case, mode)
    try:
        model = with_peft(case, added)
        if stage == "merged":
            model = model.merge_and_unload()  # type: ignore[operator]
        found = answer(model, case, mode)
    except (AttributeError, OtherShape, RuntimeError, ValueError) as error:
        return Outcome(type(error).__name__, str(error).splitlines()[0])
    off = distance(found, wanted)
    if off <= TOLERANCE:
        return Outcome(SAME)
    effect = distance(wanted, answer(plain(case), case, mode))
    return Outcome(OTHER, f"off by {off:.1f} where the deltas change the answer by {effect:.1f}")


def distance(some: list[Tensor], others: list[Tensor]) -> float:
    """The largest difference of two answers; infinite where their shapes differ."""
    pairs = list(zip(some, others, strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return float("inf")
    return max(float((a - b).abs().max()) for a, b in pairs)


def page() -> str:
    """The page, from the table and from what is observed now."""
    lines = [_line(case) for case in CASES if case.name in DIFFERENCES]
    same = "; ".join(case.name for case in CASES if case.name not in DIFFERENCES)
    return _TEXT.format(peft=version("peft"), table="\n".join(lines), same=same)


def _line(case: Case) -> str:
    outcomes = observed(case)
    details = dict.fromkeys(f"{o.word}: {o.detail}" for o in outcomes if o.detail)
    said = "; ".join(d if len(d) < 160 else d[:157] + "…" for d in details)
    cells = [case.name, *(o.word for o in outcomes), DIFFERENCES[case.name].why, said]
    return "| " + " | ".join(cells) + " |"


_TEXT = """\
# Where PEFT differs from the dense sum

```
python tests/interop/peft_differences.py
```

autolora and PEFT {peft} got equal factors, tensor by tensor, with unequal ranks and alphas, in
float64. What decides is the model with scale · up · down added to its weights. autolora answers
like that model to 1e-9 in every case, in training, evaluation, evaluation without gradients and
merged. PEFT does not in the cases below; *same* means equal to 1e-9, *other* another answer
without any error, and a name is that of the error raised (*OtherShape*: PEFT's factors have not the
shape of the delta's, so there is nothing to compare). `tests/interop/test_differential.py`
asserts every cell, so an upgrade of PEFT that changes one shows.

| case | train | eval | eval, no_grad | merged | why | what happens |
|---|---|---|---|---|---|---|
{table}

Both equal the dense sum in every stage: {same}.
"""


def main() -> None:
    """Writes the page."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    beside = PAGE.with_suffix(".new")
    beside.write_text(page())
    beside.replace(PAGE)


if __name__ == "__main__":
    main()
