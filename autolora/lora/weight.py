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

from autolora.errors import InPlaceEdit, NotMixable, SplitBaseHidden
from autolora.lora import layout
from autolora.lora.delta import Delta
from autolora.lora.quantised import plain

Product = Callable[..., Any]

PRODUCTS: dict[Callable[..., Any], Product] = {}
MIXED: dict[Callable[..., Any], Product] = {}  # for batches whose samples name their adapters

# Measured on a CPU (docs/decisions/0007): writing an element of a sum costs 7 multiplications.
_FORM = 7

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
    def matrix(self) -> Tensor:
        """The frozen parameter seen as a matrix.

        Shapes: (rows, columns).
        """
        flat = self.delta.layout == "flat" and self.base.ndim == 2
        return self.base if flat else layout.matrix(self.base, self.delta.layout)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows through it: to its factors or to its base."""
        return self.base.requires_grad or any(p.requires_grad for p in self.delta.parameters())

    def dense(self) -> Tensor:
        """The sum of base and delta; the base itself while no adapter is active.

        Shapes: those of the parameter.

        Raises:
            NotMixable: while the samples of a batch name their adapters, for which there is no
                single sum.
        """
        if self.delta.route is not None:
            raise NotMixable(self._name)
        if self.delta.kept is None or torch.compiler.is_compiling():
            return self._form()
        return self.delta.kept.get(self._form, self.base, self.delta)

    def _form(self) -> Tensor:
        delta = self.delta
        if not delta.active():
            return self.base
        base = plain(self.base)
        single = delta.single()
        if single is not None and single.up.dtype == base.dtype and not is_cast(base.device.type):
            return layout.added(base, *single)
        product = delta.matrix(_product_dtype(base.dtype), dropped=True).to(base.dtype)
        return base + layout.parameter(product, base.shape, delta.layout)

    def apart(self, thin: float, positions: int) -> bool:
        """Whether multiplying by base and delta apart is cheaper than by their sum.

        Both are estimated in multiplications. The sum costs its forming and, in training, a
        gradient of the weight's size, multiplied by both factors (docs/decisions/0007).

        Args:
            thin: What the two thin products cost, in training with their gradients.
            positions: Columns that the weight multiplies: tokens, or output pixels.
        """
        rank, size = self.delta.rank, self.base.numel()
        if self.trains:
            return thin < size * (positions + 3 * rank + _FORM)
        return thin < size * (rank + _FORM)

    @property
    def trains(self) -> bool:
        """Whether a product with it now is one that gradients will flow back through."""
        return torch.is_grad_enabled() and self.requires_grad

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
        table = MIXED if _is_mixed((*args, *kwargs.values())) else PRODUCTS
        if (product := table.get(func)) is not None:
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
        if name == "_local_tensor" and hasattr(self.base, name):  # FSDP2 asks for it, after loading
            raise SplitBaseHidden(self._name)
        return getattr(self.dense(), name)

    def __repr__(self) -> str:
        return f"AdaptedWeight({tuple(self.shape)}, rank={self.delta.rank})"

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: Any) -> Tensor:
        """A part of the sum; for one expert of a stack, no other expert's sum is formed."""
        single = isinstance(index, int) or (isinstance(index, Tensor) and index.ndim == 0)
        if not single or self.delta.layout != "stacked" or self.delta.route is not None:
            return self.dense()[index]
        if isinstance(index, Tensor) and (index.dtype == torch.bool or index.is_meta):
            return self.dense()[index]
        return self._expert(range(len(self))[int(index)])

    def _expert(self, number: int) -> Tensor:
        base = self.base[number]
        rows = base.numel() // base.shape[-1]
        within = (number * rows, (number + 1) * rows)
        touching = self.delta.active(within)
        if any(part.rows > rows for _, part in touching):  # one delta over all experts
            return self.dense()[number]
        if not touching:
            return base
        product = self.delta.matrix(_product_dtype(base.dtype), dropped=True, within=within)
        return plain(base) + product.to(base.dtype).view(base.shape)


def product(*functions: Callable[..., Any], mixed: bool = False) -> Callable[[Product], Product]:
    """Registers a cheap product for torch functions; it may answer NotImplemented.

    With `mixed`, it is the one for batches whose samples name their adapters.
    """

    def register(implementation: Product) -> Product:
        (MIXED if mixed else PRODUCTS).update(dict.fromkeys(functions, implementation))
        return implementation

    return register


def _is_mixed(values: tuple[Any, ...]) -> bool:
    return any(isinstance(v, AdaptedWeight) and v.delta.route is not None for v in values)


def _check_edit(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuses `torch.nn.init.normal_(weight)`, `torch.relu_(weight)`, `out=weight` and the like."""
    name = getattr(func, "__name__", "")
    edited: list[Any] = [kwargs.get("out")]
    if name.endswith("_") and not name.endswith("__"):
        edited += tree_leaves(args[:1] or list(kwargs.values())[:1])
    if any(isinstance(value, AdaptedWeight) for value in edited):
        raise InPlaceEdit(name)


def is_cast(device: str) -> bool:
    """Whether autocast is on; asked of a device that knows none, "meta" say, torch raises."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


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
    "iter eq ne lt le gt ge"
).split():
    setattr(AdaptedWeight, f"__{_name}__", _operator(f"__{_name}__"))
for _name in "iadd isub imul itruediv ifloordiv imod ipow imatmul setitem".split():
    setattr(AdaptedWeight, f"__{_name}__", _refuse(f"__{_name}__"))
AdaptedWeight.__hash__ = object.__hash__  # type: ignore[method-assign]
