"""The page of laws: every example of every view against every law, as measured.

`python -m autolora.testing.matrix docs/results/laws.md` runs them all in float64, in training, in
evaluation and without gradients, multiplied apart and by the sum, and writes what held.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from autolora.artifacts.files import write_bytes
from autolora.lora import views
from autolora.lora.example import Example
from autolora.lora.targets import refusals
from autolora.testing.layers import GRADIENT_LAWS, LAWS
from autolora.testing.precision import it_holds_under_autocast, it_holds_under_checkpointing
from autolora.testing.stage import FORMS, MODES, form

Law = Callable[..., None]

EVERY: tuple[Law, ...] = (*LAWS, *GRADIENT_LAWS, it_holds_under_autocast)
EVERY += (it_holds_under_checkpointing,)
_NOT_WITHOUT_GRADIENTS = (*GRADIENT_LAWS, it_holds_under_checkpointing)


def _integers() -> nn.Module:
    layer = nn.Module()
    layer.weight = nn.Parameter(torch.ones(4, 4, dtype=torch.int8), requires_grad=False)
    return layer


def _pruned() -> nn.Module:
    layer = nn.Linear(4, 4)
    prune.random_unstructured(layer, "weight", 0.5)  # type: ignore[no-untyped-call]
    return layer


REFUSED: dict[str, Callable[[], nn.Module]] = {
    "parametrised weight_norm": lambda: parametrizations.weight_norm(nn.Linear(4, 4)),
    "parametrised orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 4)),
    "old spectral_norm": lambda: spectral_norm(nn.Linear(4, 4)),
    "pruned": _pruned,
    "max_norm": lambda: nn.Embedding(5, 4, max_norm=1.0),
    "lazy": lambda: nn.LazyLinear(4),
    "integers": _integers,
    "float8": lambda: nn.Linear(4, 4).to(torch.float8_e4m3fn),
    "held by a ParameterList": lambda: nn.ParameterList([torch.randn(4, 4)]),
}


def page() -> str:
    """The page, as measured now."""
    names = [law.__name__.replace("_", " ") for law in EVERY]
    lines = [
        "# The laws, layer by layer",
        "",
        f"Measured with torch {torch.__version__} on a CPU, in float64 to 1e-9 (the law of "
        f"autocast in bfloat16), in {', '.join(MODES)}, in both forms of the product "
        f"({', '.join(FORMS)}).",
        "Written by `python -m autolora.testing.matrix docs/results/laws.md`.",
        "",
        *(f"{number}. {name}" for number, name in enumerate(names, 1)),
        "",
        "| example | " + " | ".join(str(n) for n in range(1, len(names) + 1)) + " |",
        "|---" * (len(names) + 1) + "|",
        *(_row(example) for view in views.all_views() for example in view.EXAMPLES),
        "",
        "## Refused, with the reason",
        "",
        "| weight | what the error says |",
        "|---|---|",
        *(f"| {name} | {sentence} |" for name, sentence in _refused()),
        "",
    ]
    return "\n".join(lines)


def _row(example: Example) -> str:
    print(example.name, file=sys.stderr, flush=True)  # noqa: T201 — progress
    return f"| {example.name} | " + " | ".join(_cell(example, law) for law in EVERY) + " |"


def _cell(example: Example, law: Law) -> str:
    modes = [m for m in MODES if m != "no_grad" or law not in _NOT_WITHOUT_GRADIENTS]
    for which in FORMS:
        for mode in modes:
            with form(which):
                try:
                    law(example, mode)
                except AssertionError as broken:
                    words = (str(broken) or "no words").splitlines()[0]
                    return f"**broken** ({mode}, {which}: {words})"
    return "✓"


def _refused() -> Iterator[tuple[str, str]]:
    for name, layer in REFUSED.items():
        found = refusals(nn.Sequential(layer()))
        yield name, "; ".join(dict.fromkeys(f"{r.reason}; {r.remedy}" for r in found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    write_bytes(Path(sys.argv[1]), page().encode())
