"""Quantising a base anew, with a delta in it, as its library quantised it before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from autolora.errors import NotRequantisable
from autolora.lora import quantised, sealed

Anew = Callable[[Any, Tensor], Any]


@dataclass(frozen=True)
class Requantised:
    """A weight that was quantised anew: what it was before, and how far it is from the sum.

    `error` is the Frobenius norm of the difference to the sum, over that of the sum.
    """

    layer: nn.Module
    parameter: str
    before: Mapping[str, Any]
    error: float

    def undo(self) -> None:
        """Puts the bits back as they were."""
        if sealed.kind(self.layer):
            _set_packed(self.layer, self.before)
        else:
            _copy(self.layer._parameters[self.parameter], self.before)


def is_quantised(layer: nn.Module, parameter: str) -> bool:
    """Whether a layer's parameter is quantised, sealed or not."""
    value = layer._parameters[parameter]
    return sealed.kind(layer) is not None or (value is not None and quantised.is_quantised(value))


def values(layer: nn.Module, parameter: str) -> Tensor:
    """A layer's parameter as a plain tensor.

    Shapes: those of the matrix or tensor that it stands for.
    """
    value = layer._parameters[parameter]
    assert value is not None
    return sealed.values(layer) if sealed.kind(layer) else quantised.plain(value)


def check_known(layer: nn.Module, parameter: str, name: str) -> None:
    """Makes sure that there is a way to quantise a layer's parameter anew.

    Raises:
        NotRequantisable: if there is none.
    """
    kind = type(layer._parameters[parameter]).__name__
    if not sealed.kind(layer) and kind not in _ANEW:
        raise NotRequantisable(name, kind, _ANEW)


def quantise_anew(layer: nn.Module, parameter: str, wanted: Tensor) -> Requantised:
    """Replaces the bits of a layer's parameter by those of other values, as near as they get.

    Shapes: wanted as `values` gives them.
    """
    value: Any = layer._parameters[parameter]
    if sealed.kind(layer):
        before = _packed(layer)
        _set_packed(layer, _pack(layer, wanted))
    else:
        before = {name: inner.clone() for name, inner in _inner(value).items()}
        # Quantised from the type of number that the weight stands for.
        anew = _ANEW[type(value).__name__](value, wanted.to(value.dtype))
        _copy(value, _inner(anew))
    far = values(layer, parameter).double() - wanted
    return Requantised(layer, parameter, before, (far.norm() / wanted.norm()).item())


def _inner(value: Any) -> dict[str, Tensor]:
    return {name: getattr(value, name) for name in value.__tensor_flatten__()[0]}


def _copy(value: Any, source: Mapping[str, Tensor]) -> None:
    for name, inner in _inner(value).items():
        inner.copy_(source[name])


def _nf4(value: Any, wanted: Tensor) -> Any:
    return type(value).from_tensor(wanted, value.block_size, value.scaler_block_size)


def _int8(value: Any, wanted: Tensor) -> Any:
    known = import_module("torchao.quantization.granularity")
    block = value.block_size
    if block[0] > 1:
        granularity = known.PerTensor()
    else:
        whole = block[-1] == value.shape[-1]
        granularity = known.PerRow() if whole else known.PerGroup(block[-1])
    mapping, short = _mapping(value), value.reduce_range
    return type(value).from_hp(wanted, granularity, mapping, reduce_range=short)


def _intx(value: Any, wanted: Tensor) -> Any:
    block, target = value.block_size, value.target_dtype
    return type(value).from_hp(wanted, block, target, mapping_type=_mapping(value))


def _mapping(value: Any) -> Any:
    kinds = import_module("torchao.quantization.quant_primitives").MappingType
    skewed = value.zero_point is not None and bool(value.zero_point.any())
    return kinds.ASYMMETRIC if skewed else kinds.SYMMETRIC


_ANEW: dict[str, Anew] = {
    "NF4Tensor": _nf4,
    "Int8Tensor": _int8,
    "IntxUnpackedToInt8Tensor": _intx,
}


def _packed(layer: nn.Module) -> dict[str, Any]:
    """What tells the weight of a sealed layer."""
    if sealed.kind(layer) == sealed.FOUR:
        return {"bytes": layer._parameters["weight"].data, "state": sealed.state_of(layer)}  # type: ignore[union-attr]
    return dict(zip(("bytes", "state"), sealed.statistics(layer), strict=True))


def _set_packed(layer: nn.Module, packed: Mapping[str, Any]) -> None:
    weight: Any = layer._parameters["weight"]
    weight.data = packed["bytes"]
    if sealed.kind(layer) == sealed.FOUR:
        weight.quant_state = layer.quant_state = packed["state"]
        return
    holder: Any = layer.state if getattr(weight, "CB", None) is None else weight
    holder.CB, holder.SCB = packed["bytes"], packed["state"]


def _pack(layer: nn.Module, wanted: Tensor) -> dict[str, Any]:
    functional: Any = import_module("bitsandbytes.functional")
    if sealed.kind(layer) == sealed.EIGHT:
        data, rows, _ = functional.int8_vectorwise_quant(wanted.to(torch.float16))
        return {"bytes": data, "state": rows}
    state = sealed.state_of(layer)
    data, state = functional.quantize_4bit(
        wanted.to(state.dtype),
        blocksize=state.blocksize,
        compress_statistics=state.nested,
        quant_type=state.quant_type,
        quant_storage=layer._parameters["weight"].dtype,  # type: ignore[union-attr]
    )
    return {"bytes": data, "state": state}
