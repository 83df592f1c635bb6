"""Where an adapter comes from: it is at hand, or in a folder."""

from pathlib import Path

from torch import nn

from autolora.artifacts import folder as folders
from autolora.artifacts import formats
from autolora.artifacts.adapter import Adapter
from autolora.artifacts.formats import autolora as ours
from autolora.artifacts.pairs import read_pair
from autolora.errors import NeedsBase, NoAdapter

Source = Adapter | str | Path

_MOST = 2**36  # bytes of an adapter whose base is not at hand to bound it


def opened(source: Source, model: nn.Module | None = None) -> Adapter:
    """The adapter of a folder; one at hand is given back as it is.

    Args:
        source: An adapter, or the folder of one.
        model: Its base; only our own format can be read without it.

    Raises:
        NoAdapter: if the folder holds none.
        NeedsBase: if it is in another format than ours and no base is given.
        AdapterFile: if a file is cut off, changed or holds something else.
    """
    if isinstance(source, Adapter):
        return source
    folder = Path(source)
    if model is not None:
        return folders.read(folder, model)
    if (folder / ours.MARK).exists():
        return read_pair(folder, ours.MARK, ours.TENSORS, _MOST)
    for form, case in formats.all_formats().items():
        if (folder / case.MARK).exists():
            raise NeedsBase(folder, form)
    raise NoAdapter(folder)
