"""What layers of the frozen base receive, as samples of the vectors that their weights multiply."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from autolora.nested.base import base, batches
from autolora.spending.work import Work
from autolora.training.batch import Batch
from autolora.training.device import moved, precise
from autolora.training.seeds import derived

_ROWS = 13  # the purpose of a derived seed
_CONVOLVE = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}


def observable(layer: nn.Module) -> bool:
    """Whether the input of a layer is what its weight multiplies: linear layers, convolutions.

    The output projection of torch's attention is never called, only its weight is read.
    """
    if isinstance(layer, NonDynamicallyQuantizableLinear):
        return False
    return isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)


@dataclass
class Observed:
    """Samples of inputs by layer path.

    Shapes: (examples, columns) of float32 on the CPU.
    """

    example_passes: int
    inputs: dict[str, list[Tensor]] = field(default_factory=dict)

    def rows(self, layer: str) -> Tensor | None:
        """All that was seen of a layer's inputs; None where it was never called."""
        seen = self.inputs.get(layer)
        return torch.cat(seen) if seen else None


def observe(work: Work, layers: tuple[str, ...], count: int, most: int) -> Observed:
    """Runs the base forward on `count` training batches and samples what layers receive.

    Args:
        work: Task, seed, settings.
        layers: Paths of layers that are `observable`.
        count: How many batches; a forward for each of their examples.
        most: About how many vectors are kept of each layer, the same number from every batch.
    """
    model, passes = base(work)
    observed = Observed(passes)
    generator = torch.Generator().manual_seed(derived(work.seed, _ROWS))
    task, settings = work.terms.task, work.terms.settings
    device = next(model.parameters()).device
    lengths: list[Tensor | None] = [None]
    keep = max(1, -(-most // (count * settings.accumulate * work.shared.parts)))

    def note(path: str, layer: nn.Module, given: Tensor) -> None:
        rows = _vectors(layer, given, lengths[0])
        which = torch.randperm(len(rows), generator=generator)[:keep]
        observed.inputs.setdefault(path, []).append(rows[which.to(rows.device)].float().cpu())

    with torch.no_grad(), _watched(model, layers, note), precise(settings.precision, device):
        for batch, _, examples in batches(work, count):
            lengths[0] = batch.lengths if isinstance(batch, Batch) else None
            task.loss(model, moved(batch, device))
            observed.example_passes += examples
    return observed


Note = Callable[[str, nn.Module, Tensor], None]


@contextmanager
def _watched(model: nn.Module, layers: tuple[str, ...], note: Note) -> Iterator[None]:
    """Within this context `note` is told what layers receive."""

    def hook_of(path: str) -> Callable[..., None]:
        def hook(layer: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
            note(path, layer, given[0] if given else named["input"])

        return hook

    hooks = [
        model.get_submodule(path).register_forward_pre_hook(hook_of(path), with_kwargs=True)
        for path in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _vectors(layer: nn.Module, given: Tensor, lengths: Tensor | None) -> Tensor:
    """The vectors that a weight multiplies: positions but for padding, or patches.

    Shapes: (vectors, columns of the weight).
    """
    if not isinstance(layer, nn.Linear):
        return patches(layer, given)
    if lengths is not None and given.ndim == 3 and len(given) == len(lengths):
        inside = torch.arange(given.shape[1])[None] < lengths.cpu()[:, None]
        if given.shape[1] >= int(lengths.max()):
            return given[inside.to(given.device)]
    return given.reshape(-1, given.shape[-1])


def patches(layer: Any, given: Tensor) -> Tensor:
    """The patches that a convolution multiplies by its kernels; those of each group apart.

    A convolution with a kernel for every place in a patch picks them out, whatever its stride,
    padding and dilation.

    Shapes: given (batch, channels, …); result (vectors, channels / groups · kernel).
    """
    padding: Any = layer.padding
    if layer.padding_mode != "zeros" or isinstance(padding, str):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        given = F.pad(given, layer._reversed_padding_repeated_twice, mode=mode)  # noqa: SLF001
        padding = 0
    channels = layer.in_channels // layer.groups
    apart = given.reshape(-1, channels, *given.shape[2:])
    size = channels * layer.weight[0, 0].numel()
    pick = torch.eye(size, dtype=given.dtype, device=given.device)
    pick = pick.view(size, channels, *layer.kernel_size)
    found = _CONVOLVE[given.ndim](apart, pick, None, layer.stride, padding, layer.dilation)
    return found.flatten(2).mT.reshape(-1, size)
