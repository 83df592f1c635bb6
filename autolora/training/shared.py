"""What the runs of one process have in common: kept activations, where heads start, batch parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor, nn

from autolora.lora.attach import Attached
from autolora.training.device import precise
from autolora.training.evaluate import Around
from autolora.training.meter import Meter
from autolora.training.prefix import Prefix
from autolora.training.probe import probe_head
from autolora.training.seeds import seeded
from autolora.training.settings import TrainingSettings
from autolora.training.task import Split, Task

_PROBE_BYTES = 1_000_000_000  # for the features of a probe, given back after it


@dataclass
class Shared:
    """Costs nothing until it is asked.

    Attributes:
        parts: Into how many smaller ones each batch is divided, so that it fits into memory.
        prefix: Activations below the lowest trained layer, once there are any.
        heads: The state that heads start from, by the task's fingerprint.
        layers: All layers that any of the runs may adapt, so that they share one cut.
    """

    parts: int = 1
    layers: frozenset[str] = frozenset()
    prefix: Prefix | None = None
    heads: dict[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def start_head(
        self, task: Task, model: nn.Module, settings: TrainingSettings, meter: Meter
    ) -> None:
        """Gives the head of a model the weights that are best on the frozen base."""
        key = task.fingerprint()
        if key not in self.heads:
            prefix = self._prefix(settings) if settings.cache_bytes else Prefix(_PROBE_BYTES)
            before = prefix.example_passes
            with seeded(0, meter.device):  # not that of the run: which comes first decides nothing
                base = task.model().to(meter.device)
            self.heads[key] = probe_head(task, base, meter.device, prefix)
            meter.evaluated(prefix.example_passes - before)
        model.load_state_dict(self.heads[key], strict=False)

    def around(
        self, task: Task, attached: Attached, settings: TrainingSettings, meter: Meter
    ) -> Mapping[Split, Around] | None:
        """The context in which each batch goes through the model, for each split; None for none."""
        if not settings.cache_bytes:
            return None
        trained = {*task.head, *(self.layers if attached.factors else ())}
        prefix = self._prefix(settings)
        before = prefix.example_passes
        with precise(settings.precision, meter.device):
            replay = prefix.prepare(attached.model, trained, task, meter.device)
        meter.evaluated(prefix.example_passes - before)
        if replay is None:
            return None
        splits: tuple[Split, ...] = ("train", "valid")
        return {split: partial(replay.on, attached.model, split=split) for split in splits}

    def _prefix(self, settings: TrainingSettings) -> Prefix:
        if self.prefix is None:
            self.prefix = Prefix(settings.cache_bytes)
        return self.prefix
