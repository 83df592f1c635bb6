"""A folder of cases is the registry: the sampler `tpe` is the file `samplers/tpe.py`."""

import difflib
import pkgutil
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

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
