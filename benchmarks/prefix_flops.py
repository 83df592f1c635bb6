"""FLOPs of whatever runs, where torch's own counter does not count right or gets in the way.

Torch takes every group of a convolution's backward pass for a whole one, does not know the
attention of CPUs, and asks modules about outputs that replayed ones do not have.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_ATEN = torch.ops.aten
_FUSED = "_scaled_dot_product_flash_attention_for_cpu"
Count = Callable[..., float]


def counted(run: Callable[[], Any]) -> int:
    """The FLOPs of all products, 2 for each multiplication."""
    with _Counter() as counter:
        run()
    return int(counter.flops)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Torch's protocol: every operation comes by here."""
        del types
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket  # noqa: SLF001 - as torch's own counter asks
        if packet in _OURS:
            self.flops += _OURS[packet](out, *args)
        elif packet in flop_registry:
            self.flops += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        return out


def _conv(out: Tensor, _: Tensor, kernel: Tensor, *__: Any) -> float:
    return 2.0 * out.numel() * kernel[0].numel()


def _conv_backward(_: Any, grad: Tensor, __: Tensor, kernel: Tensor, *rest: Any) -> float:
    to_input, to_kernel, _to_bias = rest[-1]
    return 2.0 * grad.numel() * kernel[0].numel() * (bool(to_input) + bool(to_kernel))


def _added(out: Tensor, _: Tensor, some: Tensor, __: Tensor) -> float:
    return 2.0 * out.numel() * some.shape[-1]


def _attention(_: Any, query: Tensor, key: Tensor, *__: Any) -> float:
    return 4.0 * math.prod(query.shape) * key.shape[-2]


def _attention_backward(_: Any, __: Tensor, query: Tensor, key: Tensor, *___: Any) -> float:
    return 10.0 * math.prod(query.shape) * key.shape[-2]  # five products, one of them anew


_OURS: dict[Any, Count] = {
    _ATEN.convolution: _conv,
    _ATEN.convolution_backward: _conv_backward,
    _ATEN.addmm_: _added,
    _ATEN.baddbmm_: _added,
    getattr(_ATEN, _FUSED): _attention,
    getattr(_ATEN, f"{_FUSED}_backward"): _attention_backward,
}
