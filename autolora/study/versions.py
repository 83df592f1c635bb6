"""What a result depends on beside the study: versions and hardware."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "autolora torch torchvision torchaudio numpy safetensors optuna optuna-dashboard sqlalchemy "
    "alembic pydantic plotly transformers peft ray psycopg"
).split()


def versions() -> dict[str, str]:
    """The version of every package that is here and matters."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}


def environment() -> dict[str, str | int | bool]:
    """Versions and hardware of this machine."""
    import torch

    return {
        **versions(),
        "platform": platform.platform(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.is_available(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
