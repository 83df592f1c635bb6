"""The adapter core: LoRA for any weight of any module. It knows torch and nothing else."""

from autolora.lora.active import Activation, activate, active, cached
from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached, adapters, attach, attached, detach, disabled
from autolora.lora.merge import Merged, merge
from autolora.lora.mixed import mixed
from autolora.lora.packed import split
from autolora.lora.select import select
from autolora.lora.selfcheck import check
from autolora.lora.targets import Refusal, Target, refusals, targets

__all__ = [
    "Activation",
    "Allocation",
    "Attached",
    "Merged",
    "Refusal",
    "Target",
    "activate",
    "active",
    "adapters",
    "attach",
    "attached",
    "cached",
    "check",
    "detach",
    "disabled",
    "merge",
    "mixed",
    "refusals",
    "select",
    "split",
    "targets",
]
