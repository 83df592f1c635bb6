"""What people wrote under a page's tables stays when the tables are written anew."""

from pathlib import Path

_MARK = "\n## What was seen\n"


def kept(path: Path, text: str) -> str:
    """The new page with what stands under the old one from "What was seen" on."""
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    return text + old[old.index(_MARK) :] if _MARK in old else text
