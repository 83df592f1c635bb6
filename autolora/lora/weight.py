"""An adapted weight is a value: what a layer finds under the name of an adapted parameter.

It is a plain object that joins torch through the documented `__torch_function__`. A *product*
(a file in `products/`) multiplies by base and delta apart where that is cheaper; every other
torch function receives the dense sum, which is always right. See docs/decisions/0001.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from autolora.errors import InPlaceEdit
from autolora.lora.low_rank import Delta

Product = Callable[..., Any]

PRODUCTS: dict[Callable[..., Any], Product] = {}

# Measured on a CPU for layers of MobileNetV2 (docs/decisions/0007): a product of few columns costs
# what one of 16 does; an element moved costs 6 multiplications, the further calls 4 million.
_LANES, _MOVE, _CALLS = 16, 6, 4_000_000

# What a weight tells of itself without being computed.
_METADATA = frozenset(
    "shape dtype device ndim layout size dim numel stride itemsize nbytes is_cuda is_cpu is_meta "
    "is_sparse is_quantized is_floating_point is_complex element_size is_contiguous "
    "get_device names".split()
)


class AdaptedWeight:
    """`base + delta`, lazily: it reads both at every use and never goes stale.

    It holds the layer's own dictionary of parameters rather than the base itself, so whatever
    replaces the base there (`.to()`, `functional_call`, a loaded checkpoint) is seen here.
    """

    __slots__ = ("__weakref__", "_name", "_parameters", "delta")

    def __init__(self, parameters: Mapping[str, nn.Parameter], name: str, delta: Delta) -> None:
        self._parameters = parameters
        self._name = name
        self.delta = delta

    @property
    def base(self) -> nn.Parameter:
        """The frozen parameter."""
        return self._parameters[self._name]

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows through it: to its factors or to its base."""
        return self.base.requires_grad or any(p.requires_grad for p in self.delta.parameters())

    def dense(self) -> Tensor:
        """The sum of base and delta.

        Shapes: those of the parameter.
        """
        base = self.base
        up, down = self.delta.factors(_product_dtype(base.dtype), dropped=True)
        return base + (up @ down).to(base.dtype).view(base.shape)

    def apart(self, inputs: int, positions: int, groups: int = 1) -> bool:
        """Whether multiplying by base and delta apart is cheaper than by their sum.

        Both are estimated in multiplications: apart, two thin products, the elements they move
        and their calls; the sum, its forming and, in training, a gradient of the weight's size.

        Args:
            inputs: Elements of the input.
            positions: Columns that the weight multiplies: tokens, or output pixels.
            groups: Groups of a convolution.
        """
        rank, rows, size = self.delta.rank, self.delta.rows, self.base.numel()
        lanes = -(-rank // _LANES) * _LANES
        thin = positions * lanes * (groups * (size // rows) + rows)
        two_products = thin + _MOVE * (inputs + 3 * positions * rows) + _CALLS
        if torch.is_grad_enabled() and self.requires_grad:
            return two_products < size * (3 * rank + positions)
        return two_products < size * rank

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Torch's protocol for tensor-like types."""
        del types
        kwargs = kwargs or {}
        if (product := PRODUCTS.get(func)) is not None:
            result = product(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if not torch.compiler.is_compiling():  # which cannot trace the names of functions
            _check_edit(func, args, kwargs)
        args, kwargs = tree_map_only(cls, cls.dense, (args, kwargs))
        return func(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _METADATA:
            return getattr(self.base, name)
        if name in ("data", "grad") or name.endswith("_"):
            raise InPlaceEdit(name)
        return getattr(self.dense(), name)

    def __repr__(self) -> str:
        return f"AdaptedWeight({tuple(self.shape)}, rank={self.delta.rank})"

    def __len__(self) -> int:
        return len(self.base)


def product(*functions: Callable[..., Any]) -> Callable[[Product], Product]:
    """Registers a cheap product for torch functions; it may answer NotImplemented."""

    def register(implementation: Product) -> Product:
        PRODUCTS.update(dict.fromkeys(functions, implementation))
        return implementation

    return register


def _check_edit(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuses `torch.nn.init.normal_(weight)`, `torch.relu_(weight)`, `out=weight` and the like."""
    name = getattr(func, "__name__", "")
    edited: list[Any] = [kwargs.get("out")]
    if name.endswith("_") and not name.endswith("__"):
        edited += tree_leaves(args[:1] or list(kwargs.values())[:1])
    if any(isinstance(value, AdaptedWeight) for value in edited):
        raise InPlaceEdit(name)


def _product_dtype(dtype: torch.dtype) -> torch.dtype:
    """Factors of a half-precision base are multiplied in float32 before the sum is rounded."""
    return torch.promote_types(dtype, torch.float32)


def _operator(name: str) -> Callable[..., Any]:
    def operate(self: AdaptedWeight, *others: Any) -> Any:
        dense = tree_map_only(AdaptedWeight, AdaptedWeight.dense, (self, *others))
        return getattr(torch.Tensor, name)(*dense)

    return operate


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(self: AdaptedWeight, *others: Any) -> NoReturn:
        del self, others
        raise InPlaceEdit(name)

    return refuse


for _name in (
    "add radd sub rsub mul rmul truediv rtruediv floordiv mod pow rpow matmul rmatmul neg abs "
    "getitem iter eq ne lt le gt ge"
).split():
    setattr(AdaptedWeight, f"__{_name}__", _operator(f"__{_name}__"))
for _name in "iadd isub imul itruediv ifloordiv imod ipow imatmul setitem".split():
    setattr(AdaptedWeight, f"__{_name}__", _refuse(f"__{_name}__"))
AdaptedWeight.__hash__ = object.__hash__  # type: ignore[method-assign]
