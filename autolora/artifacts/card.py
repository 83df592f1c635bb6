"""The model card: what a person finds beside an adapter's files."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from autolora.artifacts.adapter import Adapter

_OURS = "import autolora\n\nautolora.load(model, FOLDER)"
_PEFT = "from peft import PeftModel\n\nmodel = PeftModel.from_pretrained(model, FOLDER)"
_DIFFUSERS = "pipeline.load_lora_weights(FOLDER)"
# The library that a format belongs to, and how it loads a folder.
_LOAD = {
    "autolora": ("autolora", _OURS),
    "peft": ("peft", _PEFT),
    "peft_uniform": ("peft", _PEFT),
    "diffusers": ("diffusers", _DIFFUSERS),
    "kohya": ("diffusers", f'{_DIFFUSERS[:-1]}, weight_name="kohya.safetensors")'),
}


def card(adapter: Adapter, form: str, beside: tuple[str, ...]) -> str:
    """Markdown: how to load it, what it scored and how, its ranks."""
    about, (library, how) = adapter.about, _LOAD.get(form, (form, _OURS))
    parts = [
        f"---\nlibrary_name: {library}\ntags: [lora, autolora]\n---",
        f"# {about.get('title', 'A LoRA adapter')}",
        f"{adapter.parameters:,} adapter parameters in {len(adapter.allocation)} targets"
        + (
            f", {_size(adapter):,} more trained in full: {', '.join(adapter.full)}."
            if adapter.full
            else "."
        ),
        f"```python\n{how if set(adapter.targets) - set(beside) else _OURS}\n```",
        _facts(about),
        _metrics(about.get("metrics", {})),
        _beside(form, beside),
        _ranks(adapter),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _size(adapter: Adapter) -> int:
    return sum(value.numel() for value in adapter.full.values())


def _facts(about: Mapping[str, Any]) -> str:
    known = {
        "Base": about.get("base_model"),
        "Data": about.get("data"),
        "Study": about.get("study"),
        "Budget": about.get("budget"),
        "Learning rate": about.get("learning_rate"),
        "Scale": about.get("scale"),
        "Seeds": about.get("seeds"),
        "Versions": about.get("versions") or f"autolora {version('autolora')}",
    }
    return "\n".join(f"- **{name}**: {value}" for name, value in known.items() if value is not None)


def _metrics(metrics: Mapping[str, Mapping[str, float]]) -> str:
    if not metrics:
        return ""
    rows = (
        f"| {name} | {m['value']:.4f} | {m['low']:.4f} to {m['high']:.4f} |"
        for name, m in metrics.items()
    )
    return "\n".join(["| metric | value | 95 % interval |", "|---|---|---|", *rows])


def _beside(form: str, beside: tuple[str, ...]) -> str:
    if not beside:
        return ""
    return (
        f"{form} cannot express these; they are in a second file that `autolora.load` reads and "
        f"other loaders do not: {', '.join(beside)}."
    )


def _ranks(adapter: Adapter) -> str:
    rows = (
        f"| `{name}` | {rank} | {adapter.scales[name]:g} | {adapter.targets[name].kind} |"
        for name, rank in adapter.allocation.items()
    )
    return "\n".join(["| target | rank | scale | kind |", "|---|---|---|---|", *rows])
