"""A run in the middle: all that it needs to go on exactly as if it had never stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor, nn


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step, on the CPU.

    Attributes:
        step: How many steps were taken.
        parameters: The trained tensors, in the order of the treatment.
        moments: The first and second moment of AdamW for each; empty before the first step.
        generator: The state of torch's generator.
    """

    step: int
    parameters: tuple[Tensor, ...]
    moments: tuple[tuple[Tensor, Tensor], ...]
    generator: Tensor

    @classmethod
    def of(
        cls, step: int, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> "Checkpoint":
        """A copy of where a run stands."""
        moments = tuple(
            (_copy(state["exp_avg"]), _copy(state["exp_avg_sq"]))
            for state in (optimizer.state[parameter] for parameter in parameters)
            if state
        )
        return cls(step, tuple(map(_copy, parameters)), moments, torch.get_rng_state())

    def to_bytes(self) -> bytes:
        """The checkpoint as safetensors."""
        return save(self.tensors())

    @classmethod
    def from_bytes(cls, content: bytes) -> "Checkpoint":
        """The checkpoint that `to_bytes` wrote."""
        return cls.of_tensors(load(content))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor under the key it has in a file."""
        tensors = {f"parameter.{i}": t.contiguous() for i, t in enumerate(self.parameters)}
        for i, (first, second) in enumerate(self.moments):
            tensors |= {f"first.{i}": first.contiguous(), f"second.{i}": second.contiguous()}
        return {**tensors, "generator": self.generator, "step": torch.tensor(self.step)}

    @classmethod
    def of_tensors(cls, found: Mapping[str, Tensor]) -> "Checkpoint":
        """The checkpoint that gave these tensors."""
        count = sum(name.startswith("parameter.") for name in found)
        moments = [(found[f"first.{i}"], found[f"second.{i}"]) for i in range(count)
                   if f"first.{i}" in found]  # fmt: skip
        parameters = tuple(found[f"parameter.{i}"] for i in range(count))
        return cls(int(found["step"]), parameters, tuple(moments), found["generator"])

    @torch.no_grad()
    def load(self, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        """Puts a run where this one stood."""
        for parameter, kept in zip(parameters, self.parameters, strict=True):
            parameter.copy_(kept)
        for parameter, (first, second) in zip(parameters, self.moments, strict=bool(self.moments)):
            optimizer.state[parameter] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": first.to(parameter.device, copy=True),
                "exp_avg_sq": second.to(parameter.device, copy=True),
            }
        torch.set_rng_state(self.generator)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
