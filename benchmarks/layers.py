"""What an adapted layer costs: time and FLOPs of one training step against its frozen base.

Run: python benchmarks/layers.py [--seconds 4]

Each row is one layer with a delta of rank 8, forward and backward, with an input that asks for a
gradient as it does inside a network; the base is frozen. All variants of a layer take turns in
one process on one thread, so that a slow moment of the machine meets each alike. Times are
medians; a ratio of 1.00 would be a delta for free. FLOPs
are torch's own count; where torch does not count right (it forgets groups in the gradient of a
kernel, and knows neither look-ups nor recurrent layers) there is a dash.
"""

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import autolora

RANK = 8
Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """A layer and its input; whether PEFT adapts it as we do, and whether torch counts it right."""

    name: str
    layer: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    in_peft: bool = True
    counted: bool = True


def tokens(count: int) -> Case:
    return Case(
        f"Linear 1024², {count} tokens",
        lambda: nn.Linear(1024, 1024),
        lambda: torch.randn(count, 1024, requires_grad=True),
    )


def images(name: str, groups: int) -> Case:
    return Case(
        name,
        lambda: nn.Conv2d(128, 128, 3, padding=1, groups=groups),
        lambda: torch.randn(8, 128, 28, 28, requires_grad=True),
        in_peft=groups == 1,  # PEFT leaks across groups
        counted=groups == 1,
    )


CASES = (
    tokens(16),
    tokens(128),
    tokens(1024),
    images("Conv2d 128→128 3×3, 8×28×28", groups=1),
    images("depthwise 128 3×3, 8×28×28", groups=128),
    Case(
        "Embedding 32000×512, 512 ids",
        lambda: nn.Embedding(32000, 512),
        lambda: torch.randint(32000, (512,)),
        counted=False,
    ),
    Case(
        "LSTM 256, 32 steps × 8",
        lambda: nn.LSTM(256, 256),
        lambda: torch.randn(32, 8, 256, requires_grad=True),
        in_peft=False,
        counted=False,
    ),
)


class Within(nn.Module):
    """PEFT replaces layers in their parents, so the layer needs one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        y: Tensor = out[0] if isinstance(out, tuple) else out
        return y


def variants(case: Case) -> dict[str, nn.Module]:
    """The frozen base, our adapted layer, and PEFT's where it can."""
    base = Within(case.layer()).requires_grad_(False)
    made: dict[str, nn.Module] = {"base": base, "autolora": adapted(case)}
    if case.in_peft:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["inner"])
        made["PEFT"] = get_peft_model(Within(case.layer()), config)
    return made


def adapted(case: Case) -> nn.Module:
    model = Within(case.layer())
    autolora.attach(model, autolora.Allocation.uniform(autolora.targets(model), RANK))
    return model


def step(model: nn.Module, x: Tensor) -> Step:
    """One forward and backward; gradients are dropped, as an optimiser would."""

    def run() -> None:
        y = model(x)
        if y.requires_grad:  # a frozen embedding has nothing to differentiate
            y.backward(torch.ones_like(y))
        model.zero_grad(set_to_none=True)
        x.grad = None

    return run


def medians(steps: Mapping[str, Step], limit: float) -> dict[str, float]:
    """Milliseconds of each step; they take turns for so many seconds, at least five."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + limit
    turn = 0
    while turn < 7 or time.perf_counter() < end:
        for name, run in steps.items():
            started = time.perf_counter()
            run()
            if turn >= 2:  # the first ones warm up
                seconds[name].append(time.perf_counter() - started)
        turn += 1
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def flops(run: Step) -> int:
    """Floating-point operations of a step; torch counts matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def row(case: Case, limit: float) -> list[str]:
    torch.manual_seed(0)
    x = case.inputs()
    steps = {name: step(model, x) for name, model in variants(case).items()}
    times = medians(steps, limit)
    counts = {name: flops(run) for name, run in steps.items()} if case.counted else {}
    return [
        case.name,
        f"{times['base']:.2f}",
        ratio(times, "autolora", "base"),
        ratio(times, "PEFT", "base"),
        ratio(times, "autolora", "PEFT"),
        f"{counts['base'] / 1e6:.1f}" if counts else "–",
        ratio(counts, "autolora", "base"),
        ratio(counts, "PEFT", "base"),
    ]


def ratio(values: Mapping[str, float], name: str, other: str) -> str:
    return f"{values[name] / values[other]:.2f}" if {name, other} <= set(values) else "–"


HEAD = ["layer, rank 8", "base ms", "ours/base", "PEFT/base", "ours/PEFT"]
HEAD += ["base MFLOP", "ours/base", "PEFT/base"]


def table(rows: list[list[str]]) -> str:
    """Aligned columns, the first to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4, help="time for each layer")
    limit = parser.parse_args().seconds
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="peft")
    started = time.perf_counter()
    rows = [row(case, limit) for case in CASES]
    print(f"torch {torch.__version__}, 1 thread, {platform.machine()}; medians of forward and")
    print(f"backward, {limit:g} s a layer, {time.perf_counter() - started:.0f} s in total\n")
    print(table([HEAD, *rows]))


if __name__ == "__main__":
    main()
