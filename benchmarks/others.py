"""Beside the steps: merged inference, attaching and detaching, batches of many adapters."""

import statistics
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

import autolora
from benchmarks import architectures
from benchmarks.cases import Case, Within, call, model_cases
from benchmarks.measure import flops, in_turns, step
from benchmarks.rows import Effort
from benchmarks.variants import attach, configured, fill, twin

MIXED_RANKS = (1, 2, 4, 8, 16, 32, 64, 64) * 2
SAMPLES = 32


@dataclass(frozen=True)
class Note:
    """A measurement in words, whether it meets its target, and what the target is."""

    what: str
    found: str
    target: str
    met: bool

    def to_json(self) -> dict[str, Any]:
        return {"note": asdict(self)}


def notes(effort: Effort, *, quick: bool) -> Iterator[Note]:
    cases = model_cases(quick=quick)
    for case in [c for c in cases if c.rank == 8 and "16×32" not in c.name]:
        yield merged(case, effort)
    yield attached(architectures.minilm if quick else architectures.smollm2)
    if "mixed" in autolora.__all__:
        yield from (mixed(tokens, effort) for tokens in (8, 32))
        yield from (mixed(tokens, effort, going_on=True) for tokens in (1, 8))


def merged(case: Case, effort: Effort) -> Note:
    """A merged model is the plain one: the same modules, FLOPs and time."""
    torch.manual_seed(0)
    plain, model = case.model(), case.model()
    model.load_state_dict(plain.state_dict())
    before = _modules(plain)
    attach(model, case)
    autolora.merge(model)
    inputs = case.inputs()
    counted = [flops(step(m, inputs, "infer")) for m in (plain, model)]
    steps = {"base": step(plain, inputs, "infer"), "merged": step(model, inputs, "infer")}
    times = in_turns(steps, effort.seconds, effort.least)
    same = before == _modules(model) and counted[0] == counted[1]
    ratio, error = times.ratio("merged", "base"), times.error("merged", "base")
    found = f"{ratio:.2f} ± {error:.2f} of the base's time, {counted[1] / 1e6:,.1f} MFLOP of "
    found += f"{counted[0] / 1e6:,.1f}, modules {'plain' if same else 'NOT plain'}"
    return Note(f"merged inference: {case.name}", found, "FLOPs and modules of the base", same)


def attached(architecture: Any) -> Note:
    """Attaching to every linear layer and detaching again, at rank 8, in processor time."""
    case = Case("", lambda: Within(architecture()), tuple, chosen=lambda t: t.kind == "linear")
    model = case.model()
    ranks = case.allocation(autolora.targets(model))
    there, back = [], []
    for _ in range(5):
        started = time.process_time()
        autolora.attach(model, ranks)
        middle = time.process_time()
        autolora.detach(model)
        there.append(1e3 * (middle - started))
        back.append(1e3 * (time.process_time() - middle))
    on, off = statistics.median(there), statistics.median(back)
    what = f"attach + detach, {len(ranks)} linear layers of {type(model.inner).__name__}, rank 8"
    return Note(what, f"{on:.1f} + {off:.1f} ms", "< 50 ms", on + off < 50)


def mixed(tokens: int, effort: Effort, *, going_on: bool = False) -> Note:
    """Each sample of a batch has an adapter of its own rank; against PEFT's `adapter_names`.

    A context serves one forward pass or, where it is `going_on`, all of them, as in decoding.
    """
    base, ours, theirs, names = _many()
    asked = [names[i % len(names)] for i in range(SAMPLES)]
    ids = torch.randint(30522, (SAMPLES, tokens))

    @torch.no_grad()
    def one() -> torch.Tensor:
        with autolora.mixed(ours, asked):
            return call(ours, {"input_ids": ids})

    @torch.no_grad()
    def other() -> torch.Tensor:
        answer: torch.Tensor = theirs(input_ids=ids, adapter_names=asked)
        return answer

    torch.testing.assert_close(one(), other(), rtol=1e-3, atol=1e-3)
    further = step(ours, {"input_ids": ids}, "infer")
    steps = {"PEFT": lambda: _drop(other()), "base": step(base, {"input_ids": ids}, "infer")}
    steps["autolora"] = further if going_on else lambda: _drop(one())
    with autolora.mixed(ours, asked) if going_on else nullcontext():
        times = in_turns(steps, effort.seconds, effort.least)
    faster = times.ratio("PEFT", "autolora")
    what = f"MiniLM, {SAMPLES}×{tokens} tokens over {len(names)} adapters of ranks 1 to 64"
    what += ", one context for all forward passes" if going_on else ""
    found = f"PEFT {faster:.2f} × our time; of the base's {1e3 * times.median('base'):.0f} ms: "
    found += ", ".join(f"{name} {times.ratio(name, 'base'):.2f}" for name in ("autolora", "PEFT"))
    return Note(what, found, "PEFT ≥ 3 ×", faster >= 3)


def _many() -> tuple[nn.Module, nn.Module, nn.Module, list[str]]:
    """MiniLM plain, and with the same adapters by autolora and by PEFT; their names."""
    from peft import get_peft_model

    torch.manual_seed(0)
    plain = Within(architectures.minilm()).requires_grad_(False)
    ours, theirs = twin(plain), None
    names = [f"a{i}" for i in range(len(MIXED_RANKS))]
    for name, rank in zip(names, MIXED_RANKS, strict=True):
        case = Case("", lambda: plain, tuple, rank, chosen=lambda t: t.kind == "linear")
        factors = attach(ours, case, name)
        config = configured(plain, factors)
        if theirs is None:
            theirs = get_peft_model(twin(plain), config, adapter_name=name)
        else:
            theirs.add_adapter(name, config)
        fill(theirs.base_model.model, factors, name)
    assert theirs is not None
    return plain, ours.eval(), theirs.eval(), names


def _drop(answer: torch.Tensor) -> None:
    del answer


def _modules(model: nn.Module) -> list[tuple[str, type, list[tuple[str, type]]]]:
    """Every module by path and class, with what it finds under its parameters' names."""
    return [
        (path, type(m), [(n, type(getattr(m, n))) for n, _ in m.named_parameters(recurse=False)])
        for path, m in model.named_modules()
    ]
