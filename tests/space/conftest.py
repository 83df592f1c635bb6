"""Targets of an imaginary network: six depths, three kinds, matrices of several sizes."""

import pytest

from autolora.lora.targets import Target

SIZES = {"linear": (16, 24), "conv": (8, 72), "depthwise": (32, 9)}


@pytest.fixture
def targets() -> tuple[Target, ...]:
    return tuple(
        Target(f"blocks.{i}.{kind}.weight", f"blocks.{i}.{kind}", "weight", None, kind, *size)
        for i in range(6)
        for kind, size in SIZES.items()
    )
