"""Sealed layers: their own kernel multiplies a weight packed in bytes, out of torch's sight.

There is no weight to find under a name and no `F.linear` to take it, so the delta is added to what
the layer answers, by a forward hook that is a value: it is copied, pickled and taken away with the
layer. The layers of bitsandbytes are known by their names. See docs/decisions/0008.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from autolora.errors import PackedBase
from autolora.lora.thin import beside
from autolora.lora.weight import AdaptedWeight

FOUR, EIGHT = "bitsandbytes.nn.modules.Linear4bit", "bitsandbytes.nn.modules.Linear8bitLt"
_KEY = "lora"  # no number, which a hook registered in another process might get again


@dataclass(frozen=True, eq=False)
class Beside:
    """Adds the delta of a layer to its answer."""

    weight: AdaptedWeight

    def __call__(
        self, layer: nn.Module, args: Sequence[Any], kwargs: dict[str, Any], answer: Any
    ) -> Any:
        """What the layer answers with its delta; its own answer while no adapter is active."""
        del layer
        (given,) = (*args, *kwargs.values())
        return beside(given, answer, self.weight.delta)


def kind(layer: nn.Module) -> str | None:
    """FOUR or EIGHT for a sealed layer, None for any other."""
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(layer).__mro__)
    return next((name for name in names if name in (FOUR, EIGHT)), None)


def shape(layer: nn.Module, parameter: str) -> tuple[int, ...]:
    """The shape of a parameter; of a sealed layer's, that of the matrix it was packed from."""
    value = layer._parameters[parameter]
    assert value is not None
    if kind(layer) and parameter == "weight":
        return layer.out_features, layer.in_features  # type: ignore[return-value]
    return tuple(value.shape)


def values(layer: nn.Module) -> Tensor:
    """The weight of a sealed layer, dequantised by its library.

    Shapes: (rows, columns).
    """
    functional: Any = import_module("bitsandbytes.functional")
    weight: Any = layer._parameters["weight"]
    if kind(layer) == FOUR:
        found: Tensor = functional.dequantize_4bit(weight.data, state_of(layer))
        return found
    columns, rows = statistics(layer)
    return columns.float() * (rows / 127).unsqueeze(1)


def state_of(layer: nn.Module) -> Any:
    """How a layer of 4 bits is packed; copies and pickles keep it in one place or the other."""
    return getattr(layer._parameters["weight"], "quant_state", None) or layer.quant_state


def statistics(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """The bytes of a layer of 8 bits and the largest value of each row.

    Its first call moves them from the weight to the layer.
    """
    holder: Any = layer._parameters["weight"]
    if getattr(holder, "CB", None) is None:
        holder = layer.state
    return holder.CB, holder.SCB


def obstacle(layer: nn.Module, parameter: Any) -> tuple[str, str] | None:
    """Why a weight of a sealed kind cannot carry a delta, and what would help; None if it can."""
    found = kind(layer)
    if found is None:
        if not hasattr(parameter, "quant_state"):
            return None
        return "only its own layer can unpack it", "leave it out"
    if found == EIGHT and layer.state.has_fp16_weights:  # type: ignore[union-attr]
        return "it is quantised anew at every call", "build its layer with has_fp16_weights=False"
    if (state_of(layer) is None) if found == FOUR else parameter.is_floating_point():
        return "it is not quantised yet", 'move the model to its device first: model.to("cpu")'
    return None


def check_open_to_gradients(model: nn.Module) -> None:
    """Makes sure that no layer of a model, adapted or not, stops gradients silently.

    Raises:
        PackedBase: naming the layers that do.
    """
    packed = [
        path
        for path, layer in model.named_modules()
        if kind(layer) == FOUR and getattr(state_of(layer), "packing_format_for_cpu", False)
    ]
    if packed:
        raise PackedBase(packed)


def cast(layer: nn.Module, weight: AdaptedWeight) -> None:
    """Lets a sealed layer add a delta, before any other hook sees its answer."""
    hooks: dict[Any, Any] = layer._forward_hooks
    hooks[_KEY] = Beside(weight)
    layer._forward_hooks.move_to_end(_KEY, last=False)  # type: ignore[attr-defined]
    layer._forward_hooks_with_kwargs[_KEY] = True  # type: ignore[index]


def uncast(layer: nn.Module) -> None:
    """Undoes `cast`."""
    layer._forward_hooks.pop(_KEY)  # type: ignore[call-overload]
    layer._forward_hooks_with_kwargs.pop(_KEY)  # type: ignore[call-overload]


def found(layer: nn.Module) -> AdaptedWeight | None:
    """The weight whose delta a sealed layer adds, if it does."""
    hook = layer._forward_hooks.get(_KEY)  # type: ignore[call-overload]
    return hook.weight if isinstance(hook, Beside) else None
