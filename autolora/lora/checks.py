"""What is checked before anything is attached."""

import math
import re
import sys

from torch import nn

from autolora.errors import AdapterName, AttachedTooLate, NoProbability, NoScale, RefusedTarget
from autolora.lora.allocation import Allocation
from autolora.lora.attached import adapters
from autolora.lora.delta import Delta
from autolora.lora.targets import Target, refusals

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_name(model: nn.Module, name: str) -> None:
    """A plain word that no adapter of the model has."""
    if not _NAME.fullmatch(name) or hasattr(Delta(1, 1), name):
        raise AdapterName(
            f'"{name}" cannot name an adapter; use up to 64 letters, digits, "-" and "_" '
            "that are no attribute of a module"
        )
    if name in adapters(model):
        raise AdapterName(
            f'the model already carries an adapter named "{name}"; '
            "choose another name or call autolora.detach(model) first"
        )


def check_whole(model: nn.Module) -> None:
    """Neither DDP nor FSDP2 would learn of factors that come later."""
    fsdp = sys.modules.get("torch.distributed.fsdp")  # slow to load; without it nothing is split
    spread = (nn.parallel.DistributedDataParallel, *([fsdp.FSDPModule] if fsdp else []))
    for module in model.modules():
        if isinstance(module, spread):
            raise AttachedTooLate(type(module).__name__)


def finite(scale: float, rank: int) -> float:
    """The scale at a rank, if it is a number."""
    if not math.isfinite(scale):
        raise NoScale(scale, rank)
    return float(scale)


def check_dropout(dropout: float) -> None:
    """A probability below 1."""
    if not 0 <= dropout < 1:
        raise NoProbability(dropout)


def check_refused(model: nn.Module, ranks: Allocation, known: tuple[Target, ...]) -> None:
    """No weight is asked for that cannot be adapted as it is; otherwise the reason."""
    names = {target.name for target in known}
    asked = {name.partition("[")[0] for name in ranks if name not in names}
    for refusal in refusals(model):
        if refusal.name in asked:
            raise RefusedTarget(refusal.name, refusal.reason, refusal.remedy)
