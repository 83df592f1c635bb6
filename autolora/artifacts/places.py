"""Where PEFT keeps the factors of a parameter, and in which arrangement.

A layer that PEFT replaces has one pair, under the layer's path. An attention has one for its packed
projections and one for its output, of equal rank. A parameter of any other layer has one, and
several parameters of a layer are nested: the one registered first lies deepest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from autolora.lora.targets import Target

Way = Literal["layer", "attention", "parameter"]

_ATTENTION = "torch.nn.modules.activation.MultiheadAttention"
_ENCODER = "torch.nn.modules.transformer.TransformerEncoderLayer"
_EMBEDDING = "torch.nn.modules.sparse.Embedding"
_LINEAR = (
    "torch.nn.modules.linear.Linear",
    "transformers.pytorch_utils.Conv1D",
    "bitsandbytes.nn.modules.Linear4bit",
    "bitsandbytes.nn.modules.Linear8bitLt",
)
_CONV = tuple(f"torch.nn.modules.conv.Conv{n}d" for n in (1, 2, 3))
_RECURRENT = tuple(
    f"torch.nn.modules.rnn.{kind}{cell}" for kind in ("RNN", "LSTM", "GRU") for cell in ("", "Cell")
)
_SEPARATE = ("q_proj_weight", "k_proj_weight", "v_proj_weight")


@dataclass(frozen=True)
class Place:
    """Where a pair of factors lies.

    Attributes:
        key: The path in the names of tensors.
        name: What `rank_pattern` and `alpha_pattern` are matched against.
        layer: The path of our layer.
        parameter: Which of its parameters.
        copies: How many matrices one pair serves: the experts of a parameter.
        times: How often PEFT adds the product to the parameter.
        swapped: Whether a stack of experts has the transpose of PEFT's product.
        whole: Whether PEFT changes the parameter and not the layer.
        stacked: Whether PEFT takes the parameter for one of experts.
    """

    key: str
    name: str
    layer: str
    parameter: str
    copies: int = 1
    times: int = 1
    swapped: bool = False
    whole: bool = False
    stacked: bool = False


def way(layer: Mapping[str, Any], target: Target) -> Way | None:
    """How PEFT can adapt a target of a described layer as we do; None where it cannot.

    PEFT 0.21 adapts some convolutions otherwise, and is bypassed where a parent reads the weight.
    It adds the delta of an attention's output twice, so that one is left to us.
    """
    if not {"type", "owner", "tied", "parameters"} <= set(layer):
        return None  # an older file tells less of its layers
    kind, parameter = layer["type"], target.parameter
    if layer["tied"] or layer["owner"] in (_ENCODER, _ATTENTION):
        return None
    if kind == _ATTENTION:
        if parameter in _SEPARATE:
            return "parameter"
        packed = dict(layer["parameters"]).get("in_proj_weight")
        return "attention" if packed and parameter == "in_proj_weight" else None
    if kind in _RECURRENT or target.layout == "stacked":
        return "parameter"
    if kind in _CONV:
        # Its merge takes a kernel for pointwise that is 1 in the first two dimensions alone.
        square = len(layer["kernel_size"]) < 3 or set(layer["kernel_size"][:2]) != {1}
        return "layer" if square and same_in_peft(layer) else None
    if kind in (*_LINEAR, _EMBEDDING):
        return "layer" if parameter == "weight" else None
    return None


def is_embedding(layer: Mapping[str, Any]) -> bool:
    """Whether PEFT keeps the factors of a layer as those of a table."""
    return layer.get("type") == _EMBEDDING


def same_in_peft(layer: Mapping[str, Any]) -> bool:
    """Whether PEFT's delta of a convolution is a change of its kernel; other layers' always is.

    PEFT 0.21 forgets dilation and padding mode, and lets groups leak.
    """
    return (
        layer.get("groups", 1) == 1
        and set(layer.get("dilation", (1,))) == {1}
        and layer.get("padding_mode", "zeros") == "zeros"
    )


def of_parameters(
    layer: str,
    parameters: Sequence[tuple[str, Sequence[int]]],
    chosen: Collection[str],
    *,
    swapped: bool = False,
) -> list[Place]:
    """The places of some parameters of a layer, given all that it has in order."""
    inside = [(name, shape) for name, shape in parameters if name in chosen]
    return [
        Place(
            key=layer + ".base_layer" * (len(inside) - 1 - i),
            name=f"{layer}.{name}",
            layer=layer,
            parameter=name,
            copies=shape[0] if len(shape) == 3 else 1,
            swapped=swapped and len(shape) == 3,
            whole=True,
            stacked=len(shape) == 3,
        )
        for i, (name, shape) in enumerate(inside)
    ]


def of_attention(layer: str) -> list[Place]:
    """The two places of an attention.

    PEFT up to 0.21.2 merges the delta of the output by hand and then once more, at every call; so
    this is what an adapter was trained with.
    """
    return [
        Place(layer, layer, layer, "in_proj_weight"),
        Place(f"{layer}.base_layer.out_proj", layer, f"{layer}.out_proj", "weight", times=2),
    ]


def in_model(model: nn.Module, names: Sequence[str]) -> dict[str, Place]:
    """Every place of a model that is not simply a layer's path, by key.

    Args:
        model: What the factors are for.
        names: The parameters that a configuration targets; the end of a path is enough, as in PEFT.
    """
    found: list[Place] = []
    for path, module in model.named_modules():
        mine = [(n, p.shape) for n, p in module._parameters.items() if p is not None]  # noqa: SLF001
        keys = {n: f"{path}.{n}" for n, _ in mine}
        chosen = [n for n, k in keys.items() if any(k == t or k.endswith(f".{t}") for t in names)]
        if path and chosen:
            turned = bool(getattr(module, "is_transposed", False))
            found += of_parameters(path, mine, chosen, swapped=turned)
        elif isinstance(module, nn.MultiheadAttention):
            found += of_attention(path)
    return {place.key: place for place in found}
