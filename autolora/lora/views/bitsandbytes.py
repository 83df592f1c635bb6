"""Linear layers of bitsandbytes, whose packed weights are sealed (docs/decisions/0008)."""

from torch import nn

from autolora.lora.example import Example
from autolora.lora.views import Block, Setting

# By their names, so that bitsandbytes need not be there.
LAYERS = ("bitsandbytes.nn.modules.Linear4bit", "bitsandbytes.nn.modules.Linear8bitLt")

# Evaluated on some CPUs, a layer repacks its weight for a kernel that loses precision and lets no
# gradient through to the layers before it; there is no exact way back.
SETTINGS = (Setting(LAYERS[0], "support_avx512bf16_for_cpu", value=False, everywhere=True),)

EXAMPLES: tuple[Example, ...] = ()  # the laws are checked in float64, which its kernels do not know


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """The whole weight, whatever shape it is packed in."""
    if parameter != "weight":
        return ()
    return (Block(None, "linear", 0, layer.out_features),)  # type: ignore[arg-type]
