"""Where two descriptions of studies differ."""

from collections.abc import Mapping
from typing import Any

from autolora.errors import OtherStudy


def other_study(name: str, stored: Mapping[str, Any], new: Mapping[str, Any]) -> OtherStudy:
    """Names the first value in which two descriptions differ, by its dotted path."""
    path, old, value = _difference("", stored, new) or ("digest", "another", "this")
    return OtherStudy(name, path, old, value)


def _difference(path: str, old: Any, new: Any) -> tuple[str, Any, Any] | None:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return None if old == new else (path, old, new)
    for key in dict.fromkeys((*new, *old)):
        below = f"{path}.{key}" if path else str(key)
        found = _difference(below, old.get(key), new.get(key))
        if found:
            return found
    return None
