"""The model card tells a person how to load the adapter and what it scored."""

from pathlib import Path

import pytest
from torch import nn

import autolora

ABOUT = {
    "title": "Digits on MobileNetV2",
    "base_model": "mobilenet_v2",
    "data": "mnist digits",
    "study": "digits",
    "budget": "24 trials",
    "seeds": [0, 1, 2],
    "metrics": {"accuracy": {"value": 0.9312, "low": 0.92, "high": 0.94}},
}


def test_it_tells_what_is_known(trained: nn.Module, tmp_path: Path) -> None:
    autolora.save(trained, tmp_path / "a", about=ABOUT)
    card = (tmp_path / "a" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: autolora\n")
    parameters = autolora.Adapter.capture(trained).parameters
    for words in (
        "# Digits on MobileNetV2",
        f"{parameters:,} adapter parameters in 4 targets",
        "24 more trained in full: head.weight, head.bias",
        "autolora.load(model, FOLDER)",
        "- **Base**: mobilenet_v2",
        "- **Seeds**: [0, 1, 2]",
        "| accuracy | 0.9312 | 0.9200 to 0.9400 |",
        "| `features.0.weight` | 3 | 0.433333 | conv |",
    ):
        assert words in card
    assert "Learning rate" not in card


def test_for_peft_it_names_what_other_loaders_do_not_see(
    trained: nn.Module, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match=r"features\.2\.weight"):
        beside = autolora.save(trained, tmp_path / "a", format="peft")
    card = (tmp_path / "a" / "README.md").read_text()
    assert "PeftModel.from_pretrained(model, FOLDER)" in card
    assert beside[0] == "features.2.weight"
    assert f"other loaders do not: {', '.join(beside)}." in card


def test_a_folder_that_peft_cannot_load_does_not_say_so(trained: nn.Module, tmp_path: Path) -> None:
    autolora.attach(model := nn.LSTM(3, 3), {"weight_ih_l0[cell]": 1})
    with pytest.warns(UserWarning, match="cannot express"):
        autolora.save(model, tmp_path / "a", format="peft")
    card = (tmp_path / "a" / "README.md").read_text()
    assert "PeftModel" not in card
    assert "autolora.load(model, FOLDER)" in card
