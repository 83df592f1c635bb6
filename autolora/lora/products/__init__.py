"""Cheap products: multiplying by an adapted weight without forming the sum.

One file for each family of torch functions; importing this folder registers them all.
"""

import pkgutil
from importlib import import_module

for _file in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
