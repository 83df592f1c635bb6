import sys

import pytest
import torch
from torch import nn

from autolora.data.models import MODELS, _pristine_mobilenet_v2, build, mobilenet_v2
from autolora.errors import CodeNotAllowed, MissingExtra, NoSuchModel, UnknownName
from autolora.lora import targets


def tiny() -> nn.Module:
    return nn.Linear(2, 2)


def no_model() -> int:
    return 3


@pytest.mark.usefixtures("weights_file")
class TestMobileNetV2:
    def test_it_is_torchvisions_with_a_new_head(self, weights_file):
        from torchvision.models import mobilenet_v2 as architecture

        model, theirs = mobilenet_v2().eval(), architecture(weights=None).eval()
        theirs.load_state_dict(torch.load(weights_file, weights_only=True))
        images = torch.randn(2, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(model.features(images), theirs.features(images))
        assert list(model.state_dict()) == list(theirs.state_dict())
        assert model.classifier[1].weight.shape == (10, 1280)

    def test_torchs_seed_decides_the_head_and_nothing_else_is_drawn(self):
        torch.manual_seed(0)
        first = mobilenet_v2().state_dict()
        torch.manual_seed(0)
        head = nn.Linear(1280, 10)
        assert torch.equal(first["classifier.1.weight"], head.weight)
        second = mobilenet_v2().state_dict()
        differing = [name for name in first if not torch.equal(first[name], second[name])]
        assert differing == ["classifier.1.weight", "classifier.1.bias"]

    def test_by_name_it_is_the_same_at_every_call_and_draws_nothing(self):
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        first, second = build("mobilenet_v2").state_dict(), build("mobilenet_v2").state_dict()
        assert torch.equal(torch.rand(2), expected)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_models_are_independent(self):
        first = mobilenet_v2()
        with torch.no_grad():
            for parameter in first.parameters():
                parameter.zero_()
        assert mobilenet_v2().features[0][0].weight.any()

    def test_it_has_targets_of_every_kind_of_convolution(self):
        kinds = {target.kind for target in targets(build("mobilenet_v2"))}
        assert kinds == {"conv", "pointwise", "depthwise", "linear"}

    def test_without_torchvision_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torchvision.models", None)
        with pytest.raises(MissingExtra, match=r"pip install 'autolora\[vision\]'"):
            _pristine_mobilenet_v2.__wrapped__()


def test_an_unknown_name_is_answered_with_those_that_exist():
    with pytest.raises(UnknownName, match=f"there are {', '.join(MODELS)}"):
        build("mobilenet")


def test_code_runs_only_where_it_is_allowed():
    name = f"{__name__}:tiny"
    with pytest.raises(CodeNotAllowed, match="--allow-code"):
        build(name)
    assert isinstance(build(name, allow_code=True), nn.Linear)


@pytest.mark.parametrize("name", ["no.such.module:f", "math:nothing", ":", f"{__name__}:no_model"])
def test_code_that_gives_no_model_is_told(name):
    with pytest.raises(NoSuchModel, match=r"package\.module:function"):
        build(name, allow_code=True)
