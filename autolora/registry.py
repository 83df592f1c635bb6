"""A folder of cases is the registry: the sampler `tpe` is the file `samplers/tpe.py`."""

import difflib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from autolora.errors import UnknownName


def names(package: ModuleType) -> tuple[str, ...]:
    """The names of the cases in a folder, sorted.

    >>> import autolora.samplers
    >>> "tpe" in names(autolora.samplers)
    True
    """
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__)))


def load(package: ModuleType, name: str) -> ModuleType:
    """The module of one case; a dotted name is a module of the user's own.

    Raises:
        UnknownName: if the folder has no such file and the name is not dotted.
    """
    if name in names(package):
        return import_module(f"{package.__name__}.{name}")
    if "." in name:
        return import_module(name)
    raise UnknownName(package.__name__.rpartition(".")[2], name, names(package))


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The known names that look most like `name`, best first.

    >>> nearest("tpee", ["grid", "tpe"])
    ('tpe',)
    """
    return tuple(difflib.get_close_matches(name, list(known), n=count, cutoff=0.4))


def options(function: Callable[..., object], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Every option of a case's function with its value: as given, or the function's default.

    Options are its keyword parameters that have a default; so what is recorded is complete, and
    a later change of a default does not change a stored study.

    Raises:
        UnknownName: if an option is given that the function has not.

    >>> def pruner(*, evaluations, warmup=2): ...
    >>> options(pruner, {}, "option of the pruner median")
    {'warmup': 2}
    """
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    for name in given:
        if name not in known:
            raise UnknownName(what, name, nearest(name, known) or known)
    return {**known, **given}
