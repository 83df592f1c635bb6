"""The presets for texts take attention and MLP of each family of models, and nothing else."""

from typing import Any

import pytest
import transformers

from autolora.lora.targets import targets
from autolora.space.read import find, read_yaml
from autolora.space.spec import SpaceSpec

SIZES: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "pad_token_id": 0,
}
MATRICES = {"Bert": 18, "Roberta": 18, "Electra": 18, "MPNet": 18, "XLMRoberta": 18}


@pytest.mark.parametrize(
    ("preset", "family", "form", "matrices"),
    [
        *(("text-encoder", family, "Model", count) for family, count in MATRICES.items()),
        ("text-decoder", "Llama", "ForCausalLM", 21),
        ("text-decoder", "Qwen2", "ForCausalLM", 21),
    ],
)
def test_every_matrix_of_the_layers_has_its_group(preset, family, form, matrices):
    config = getattr(transformers, f"{family}Config")(**SIZES)
    found = targets(getattr(transformers, f"{family}{form}")(config))
    space = read_yaml(find(preset, "search_spaces"), SpaceSpec).resolve(found)
    taken = {target.name for target in space.targets}
    assert len(taken) == matrices
    assert not [name for name in taken if "embed" in name or "pooler" in name or "head" in name]
    assert len(space.groups) == (12 if preset == "text-encoder" else 9)
