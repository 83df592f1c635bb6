"""Several matrices packed in the weight of one linear layer: which rows belong to which.

Some are known by the name of their layer; others are declared with `split`. A pack whose parts
interleave (each head's q, k and v side by side) has no block of rows and stays whole.
"""

from collections.abc import Mapping

from torch import nn

from autolora.errors import Unsplittable
from autolora.lora.views import Block

NOTE = "_blocks_for_lora"  # in the layer's own dictionary, so that it travels with copies

_ATTENTION = ("query", "key", "value")
# By the last part of the layer's path; where the rows are so many times the columns.
_KNOWN: dict[str, tuple[tuple[str, ...], ...]] = {
    "qkv": (_ATTENTION,),
    "qkv_proj": (_ATTENTION,),
    "to_qkv": (_ATTENTION,),
    "Wqkv": (_ATTENTION,),
    "c_attn": (_ATTENTION, ("key", "value")),  # the latter in the cross-attention of GPT-2
    "kv": (("key", "value"),),
    "to_kv": (("key", "value"),),
}
_HALVES = {"gate_up_proj": ("gate", "up")}  # of any width


def unpack(
    path: str, layer: nn.Module, parameter: str, whole: Block, columns: int
) -> tuple[Block, ...]:
    """The blocks of a parameter that is one to its view; itself if it holds but one matrix."""
    declared = layer.__dict__.get(NOTE, {}).get(parameter)
    if declared is not None:
        return _ranges(whole, declared)
    name = path.rpartition(".")[2]
    for names in _KNOWN.get(name, ()):
        if parameter == "weight" and whole.rows == len(names) * columns:
            return _ranges(whole, dict.fromkeys(names, columns))
    if parameter == "weight" and name in _HALVES and whole.rows % 2 == 0:
        return _ranges(whole, dict.fromkeys(_HALVES[name], whole.rows // 2))
    return (whole,)


def split(layer: nn.Module, sizes: Mapping[str, int], parameter: str = "weight") -> None:
    """Declares which matrices the weight of a layer packs, from its first row to its last.

    Each becomes a target of its own: `attn.qkv.weight[query]`. The declaration lies in the layer
    and travels with copies and pickles; a fresh model needs it again before an adapter is loaded.

    Args:
        layer: The layer that owns the parameter.
        sizes: Name of each block to its number of rows; their sum is that of the matrix.
        parameter: The name of the parameter.

    Raises:
        Unsplittable: if the sizes do not add up, or a name could not be one.

    >>> from autolora.lora.targets import targets
    >>> layer = nn.Linear(8, 16)
    >>> split(layer, {"query": 8, "key": 4, "value": 4})
    >>> [target.name for target in targets(layer)]
    ['weight[query]', 'weight[key]', 'weight[value]']
    """
    value = layer._parameters.get(parameter)
    if value is None or value.ndim != 2:
        raise Unsplittable(parameter, "is no matrix of this layer")
    transposed = type(layer).__name__ == "Conv1D"
    rows = value.shape[1] if transposed else value.shape[0]
    if any(size < 1 for size in sizes.values()) or sum(sizes.values()) != rows:
        raise Unsplittable(parameter, f"has {rows} rows, and the blocks {dict(sizes)} do not")
    if bad := [name for name in sizes if not name.replace("_", "").isalnum()]:
        raise Unsplittable(parameter, f'cannot have a block named "{bad[0]}"')
    layer.__dict__[NOTE] = {**layer.__dict__.get(NOTE, {}), parameter: dict(sizes)}


def _ranges(whole: Block, sizes: Mapping[str, int]) -> tuple[Block, ...]:
    blocks, first = [], whole.first_row
    for name, rows in sizes.items():
        kind = name if name in _ATTENTION else whole.kind
        blocks.append(Block(name, kind, first, rows, whole.layout))
        first += rows
    return tuple(blocks)
