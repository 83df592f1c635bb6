"""A proposal: what one configuration means for training."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autolora.lora.allocation import Allocation
from autolora.lora.scale import RULES, ScaleRule


@dataclass(frozen=True)
class Proposal:
    """An allocation, and the numbers to train it with."""

    allocation: Allocation
    learning_rate: float
    scale_rule: str = "constant"
    scale_value: float = 1.0

    @classmethod
    def of(cls, allocation: Mapping[str, int], configuration: Mapping[str, Any]) -> "Proposal":
        """The proposal whose `configuration` was stored."""
        return cls(Allocation(allocation), **configuration)

    @property
    def scale(self) -> ScaleRule:
        """The rule that gives a target's scale from its rank."""
        return RULES[self.scale_rule](self.scale_value)

    def configuration(self) -> dict[str, Any]:
        """All but the allocation, as plain data."""
        return {
            "learning_rate": self.learning_rate,
            "scale_rule": self.scale_rule,
            "scale_value": self.scale_value,
        }

    def digest(self, context: str = "") -> str:
        """Equal for proposals that train the same thing in the same context.

        Two configurations of the sampler may be one proposal: ranks were lowered to keep a budget,
        or two scale rules give the ranks the same scale.

        >>> Proposal(Allocation({"a": 0}), 1e-3).digest() == Proposal(Allocation(), 0.001).digest()
        True
        """
        scaled = {name: [rank, self.scale(rank)] for name, rank in self.allocation.items()}
        content = [scaled, self.learning_rate, context]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
