"""SmolLM2-135M-Instruct: a small language model, out of its file of 4 bits a weight."""

from torch import nn

from autolora.data.pretrained import find, load


def smollm2() -> nn.Module:
    """`LlamaForCausalLM` in float32 and evaluation mode; 134.5 M parameters.

    The weights are what 4 bits left of the published ones. They are made into numbers once, which
    takes a minute, and kept in the cache.

    Source: Ben Allal et al. 2025.

    Raises:
        MissingExtra: if transformers, accelerate or gguf is not installed.
    """
    return load(find("smollm2"), "AutoModelForCausalLM").fresh()
