"""How a value is written for people."""

from typing import Any


def text(value: Any) -> str:
    """A value as people read it.

    >>> text(18620), text(0.123456), text(None), text(0.0008)
    ('18,620', '0.1235', '–', '0.0008')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 1e5 else f"{value:.4g}"
    return str(value)
