"""autolora: which weights of a PyTorch model to adapt with LoRA, and at which rank.

The names below are the library's face. They are loaded when first used, so that importing
autolora costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autolora.artifacts.adapter import Adapter
    from autolora.artifacts.combine import dare, stack, ties
    from autolora.artifacts.extract import extract
    from autolora.artifacts.folder import load, save
    from autolora.artifacts.resize import resize
    from autolora.lora.active import activate, active, cached
    from autolora.lora.allocation import Allocation
    from autolora.lora.attach import Attached, attach, detach, disabled
    from autolora.lora.merge import merge
    from autolora.lora.mixed import mixed
    from autolora.lora.packed import split
    from autolora.lora.select import select
    from autolora.lora.selfcheck import check
    from autolora.lora.targets import Target, targets
    from autolora.plots.figure import figure
    from autolora.study.study import Study, search

_HOMES = {
    "Adapter": "autolora.artifacts.adapter",
    "Allocation": "autolora.lora.allocation",
    "Attached": "autolora.lora.attach",
    "Study": "autolora.study.study",
    "Target": "autolora.lora.targets",
    "activate": "autolora.lora.active",
    "active": "autolora.lora.active",
    "attach": "autolora.lora.attach",
    "cached": "autolora.lora.active",
    "check": "autolora.lora.selfcheck",
    "dare": "autolora.artifacts.combine",
    "detach": "autolora.lora.attach",
    "disabled": "autolora.lora.attach",
    "figure": "autolora.plots.figure",
    "extract": "autolora.artifacts.extract",
    "load": "autolora.artifacts.folder",
    "merge": "autolora.lora.merge",
    "mixed": "autolora.lora.mixed",
    "resize": "autolora.artifacts.resize",
    "save": "autolora.artifacts.folder",
    "search": "autolora.study.study",
    "select": "autolora.lora.select",
    "split": "autolora.lora.packed",
    "stack": "autolora.artifacts.combine",
    "targets": "autolora.lora.targets",
    "ties": "autolora.artifacts.combine",
}

__version__ = version("autolora")
__all__ = [
    "Adapter",
    "Allocation",
    "Attached",
    "Study",
    "Target",
    "activate",
    "active",
    "attach",
    "cached",
    "check",
    "dare",
    "detach",
    "disabled",
    "extract",
    "figure",
    "load",
    "merge",
    "mixed",
    "resize",
    "save",
    "search",
    "select",
    "split",
    "stack",
    "targets",
    "ties",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'autolora' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
