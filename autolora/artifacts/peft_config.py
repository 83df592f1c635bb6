"""What a configuration of PEFT's means; what is no plain LoRA is refused by its name."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from autolora.artifacts.reading import number
from autolora.errors import AdapterFile, NotPlainLora

Scale = Callable[[str, int], float]

_TYPES = ("LORA", "ADALORA")
# Each changes what the factors mean, or trains something else beside them.
_OTHERWISE = {
    "use_dora": "DoRA scales whole columns of the weight",
    "lora_bias": "lora_bias trains a bias beside the factors",
    "use_qalora": "QA-LoRA pools the input",
    "use_bdlora": "BD-LoRA has factors of blocks",
    "layer_replication": "layer_replication repeats layers of the base",
    "kasa_config": "KaSA truncates the base",
    "velora_config": "VeLoRA compresses the input",
    "monteclora_config": "MonteCLoRA draws its factors at random",
    "arrow_config": "Arrow routes between adapters",
    "trainable_token_indices": "single tokens are trained beside the factors",
    "alora_invocation_tokens": "aLoRA works from a token on",
}
# On loading, PEFT computes them again and subtracts what it finds from the base.
_CHANGES_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")

# Where a pattern may go on without an end, and where what repeats is itself a group.
_REPEATS = re.compile(r"(?<!\\)[*+]|(?<!\\)\{\d*,\d*\}")
_NESTED = re.compile(r"\)[*+{]")


def check_config(config: Mapping[str, Any], source: object) -> None:
    """Makes sure that a configuration is plain LoRA.

    Raises:
        NotPlainLora: naming what it is instead.
    """
    kind = config.get("peft_type")
    if kind not in _TYPES:
        raise NotPlainLora(source, f"peft_type is {str(kind)[:40]}, which we do not read")
    for key, what in _OTHERWISE.items():
        if config.get(key):
            raise NotPlainLora(source, f"{what} ({key})")
    if (bias := config.get("bias", "none")) != "none":
        raise NotPlainLora(source, f"biases are trained, too (bias: {str(bias)[:40]})")
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(_CHANGES_BASE):
        raise NotPlainLora(
            source,
            f"init_lora_weights is {init[:40]}, with which PEFT changes the base on loading "
            "(its save_pretrained with path_initial_model_for_weight_conversion makes it plain)",
        )


def scales(config: Mapping[str, Any], source: object) -> Scale:
    """Alpha / r, or alpha / √r, by name and rank; the first pattern that matches wins, as in PEFT.

    Raises:
        AdapterFile: if the configuration gives no number, or a pattern is none.
    """
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise AdapterFile(source, "its alpha_pattern is no object")
    compiled = [(_compiled(pattern, source), alpha) for pattern, alpha in patterns.items()]
    common, rooted = config.get("lora_alpha", 8), bool(config.get("use_rslora"))
    singular = config.get("peft_type") == "ADALORA"
    # AdaLoRA goes on to divide by the rank it began with.
    start = number(config.get("init_r", 12), "init_r", source)

    def scale(name: str, rank: int) -> float:
        found = next((alpha for pattern, alpha in compiled if pattern.match(name)), common)
        alpha = number(found, f"alpha of {name}", source)
        if singular:
            return (alpha if alpha > 0 else rank) / (start + 1e-5)
        return alpha / (rank**0.5 if rooted else rank)

    return scale


def _compiled(pattern: str, source: object) -> re.Pattern[str]:
    """A key of `alpha_pattern`, if it can be matched in bounded time."""
    if len(pattern) > 1000 or len(_REPEATS.findall(pattern)) > 4 or _NESTED.search(pattern):
        raise AdapterFile(
            source, f"its alpha_pattern {pattern[:80]!r} repeats more than a plain pattern does"
        )
    try:
        return re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, RecursionError, OverflowError) as error:
        raise AdapterFile(source, f"{pattern[:80]!r} is no regular expression ({error})") from error
