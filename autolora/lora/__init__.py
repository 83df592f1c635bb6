"""The adapter core: LoRA for any weight of any module. It knows torch and nothing else."""

from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached, adapters, attach, attached, detach, disabled
from autolora.lora.merge import Merged, merge
from autolora.lora.select import select
from autolora.lora.selfcheck import check
from autolora.lora.targets import Refusal, Target, refusals, targets

__all__ = [
    "Allocation",
    "Attached",
    "Merged",
    "Refusal",
    "Target",
    "adapters",
    "attach",
    "attached",
    "check",
    "detach",
    "disabled",
    "merge",
    "refusals",
    "select",
    "targets",
]
