"""Files for pipelines of several models: factors under the names that their models have there.

Only linear layers and convolutions go into them; everything else, heads too, is kept beside.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.factors import Pair
from autolora.artifacts.formats import Written
from autolora.artifacts.pairs import extra, part, with_extra
from autolora.artifacts.places import is_embedding, way
from autolora.artifacts.reading import read_file, read_tensors, room
from autolora.errors import ManyComponents

COMPONENTS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")

Write = Callable[[dict[str, Pair], Adapter], dict[str, Tensor]]


def written(adapter: Adapter, file: str, tensors: Write, *, clash: Callable[[str], str]) -> Written:
    """One file of a pipeline, and a second pair of ours.

    Args:
        adapter: What to write; `about` may name in `component` the model that it is for.
        file: The name of the file.
        tensors: Makes named tensors of pairs by the path of their layer within the pipeline.
        clash: What a loader tells layers apart by; of layers that are alike none is written.
    """
    fitting = [name for name in adapter.targets if fits(adapter, name)]
    paths = {name: in_pipeline(adapter, adapter.targets[name].layer) for name in fitting}
    seen = Counter(clash(path) for path in _layers(adapter))
    inside = {name: path for name, path in paths.items() if seen[clash(path)] == 1}
    mine = part(adapter, inside, ())
    pairs = {}
    for name, path in inside.items():
        up, down = mine.factors[name]
        pairs[path] = up * mine.scales[name], down
    content = save_tensors(tensors(pairs, mine), {"format": "pt"})
    rest = part(adapter, set(adapter.targets) - set(inside), adapter.full)
    files = {file: content, **extra(rest, file, content)}
    return Written(files, beside=(*rest.targets, *sorted(rest.full)))


def read_folder(
    folder: Path, model: nn.Module, file: str, parse: Callable[..., Adapter]
) -> Adapter:
    """The adapter of a folder that holds a file of a pipeline.

    Raises:
        AdapterFile: if the file is cut off, or means something that we cannot repeat.
        NotPlainLora: if it is another method's.
        ManyComponents: if it adapts several models and the model is one of them.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    most, source = room(model), str(folder / file)
    content = read_file(folder / file, most)
    adapter = parse(content, read_tensors(content, source), model, source)
    return with_extra(adapter, folder, file, content, most)


def fits(adapter: Adapter, name: str) -> bool:
    """Whether a target is a layer that these files can hold."""
    target = adapter.targets[name]
    layer = adapter.layers.get(target.layer, {})
    plain = target.layout == "flat" and not target.block and not is_embedding(layer)
    return plain and bool(target.layer) and way(layer, target) == "layer"


def in_pipeline(adapter: Adapter, path: str) -> str:
    """The path of a layer within the pipeline: below the name of its model there."""
    if path.partition(".")[0] in COMPONENTS:
        return path
    return f"{adapter.about.get('component', COMPONENTS[0])}.{path}"


def on_model(model: nn.Module, paths: Iterable[str], source: object) -> dict[str, str]:
    """The layers that paths of a pipeline mean on a model, which is one of its models or holds all.

    Raises:
        ManyComponents: if they lie in several models and the model is one of them.
    """
    modules = dict(model.named_modules())
    found, parts = {}, set()
    for path in paths:
        component, _, inner = path.partition(".")
        bare = component in COMPONENTS and component not in modules
        found[path] = inner if bare else path
        parts.add(component if bare else "")
    if len(parts) > 1:
        raise ManyComponents(source, ", ".join(sorted(parts - {""}) or parts))
    return found


def shaped(pair: Pair, kernel: Iterable[int]) -> tuple[Tensor, Tensor]:
    """Down and up as the weights of two layers in a row: of convolutions, the second is 1 × 1."""
    (up, down), size = pair, tuple(kernel)
    ones = (1,) * len(size)
    return (
        down.reshape(len(down), -1, *size).contiguous(),
        up.reshape(*up.shape, *ones).contiguous(),
    )


def _layers(adapter: Adapter) -> set[str]:
    """The path of every layer of the base within the pipeline, as far as it is known."""
    names = adapter.base.parameters if adapter.base else ()
    known = {name.rpartition(".")[0] for name in names}
    known |= {target.layer for target in adapter.targets.values()}
    return {in_pipeline(adapter, path) for path in known if path}
