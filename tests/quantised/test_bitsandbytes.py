"""What is particular to the sealed layers of bitsandbytes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from autolora.artifacts.folder import save
from autolora.errors import PackedBase, RefusedTarget
from autolora.lora import attach, check, detach, disabled, refusals, targets
from autolora.lora.low_rank import LowRank

bnb = pytest.importorskip("bitsandbytes")


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(bnb.nn.Linear4bit(64, 32, quant_type="nf4")).to("cpu")


def stirred(model: nn.Module) -> LowRank:
    part = attach(model, {"0.weight": 2}).factors["0.weight"]
    nn.init.normal_(part.up)
    return part


def test_the_layer_keeps_its_class_its_forward_and_its_weight(model: nn.Sequential) -> None:
    layer, weight = model[0], model[0].weight
    stirred(model)
    assert type(layer) is bnb.nn.Linear4bit
    assert "forward" not in vars(layer)
    assert layer.weight is weight


def test_a_hook_of_somebody_else_sees_the_sum(model: nn.Sequential) -> None:
    """Registered before or after; and both stay when the adapter leaves."""
    seen: list[Tensor] = []
    model[0].register_forward_hook(lambda *call: seen.append(call[-1]))
    stirred(model)
    model[0].register_forward_hook(lambda *call: seen.append(call[-1]))
    answer = model(torch.randn(3, 64))
    assert all(torch.equal(value, answer) for value in seen)
    detach(model)
    model(torch.randn(3, 64))
    assert len(seen) == 4


@pytest.mark.slow
def test_a_hook_registered_after_unpickling_elsewhere_keeps_the_adapter(
    model: nn.Sequential, tmp_path: Path
) -> None:
    """Torch numbers hooks from 0 in every process, so a number could be given twice."""
    stirred(model)
    x = torch.randn(3, 64)
    torch.save((model, x, model(x)), tmp_path / "model.pt")
    program = (
        "import sys, torch\n"
        "model, x, answer = torch.load(sys.argv[1], weights_only=False)\n"
        "for _ in range(9):\n"
        "    model[0].register_forward_hook(lambda *call: None)\n"
        "assert torch.equal(model(x), answer)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model.pt")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_input_given_by_name(model: nn.Sequential) -> None:
    x = torch.randn(3, 64)
    base = model[0](x=x)
    part = stirred(model)
    torch.testing.assert_close(model[0](x=x), base + x @ part.dense().T)


def test_blocks_of_a_packed_projection() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = bnb.nn.Linear4bit(64, 192)

    model, x = Attention().to("cpu"), torch.randn(3, 64)
    before = model.qkv(x)
    assert [t.block for t in targets(model)] == ["query", "key", "value"]
    part = attach(model, {"qkv.weight[value]": 2}).factors["qkv.weight[value]"]
    nn.init.normal_(part.up)
    after = model.qkv(x)
    assert torch.equal(after[:, :128], before[:, :128])
    torch.testing.assert_close(after[:, 128:], before[:, 128:] + x @ part.dense().T)


def test_an_evaluation_of_the_base_repacks_nothing(model: nn.Sequential) -> None:
    """Without a delta, and in `disabled`: the baseline of a search is measured like this."""
    packed = model[0].weight.data.clone()
    for ranks in ({}, {"0.weight": 2}):
        attach(model, ranks)
        with torch.no_grad(), disabled(model):
            model.eval()(torch.randn(3, 64))
        assert torch.equal(model[0].weight.data, packed)
        detach(model)


def test_what_an_evaluation_packed_is_refused(model: nn.Sequential) -> None:
    if not model[0].support_avx512bf16_for_cpu:
        pytest.skip("bitsandbytes repacks nothing on this CPU")
    with torch.no_grad():
        model.eval()(torch.randn(3, 64))
    model.append(nn.Linear(32, 4))
    with pytest.raises(PackedBase) as error:  # though that layer is no target of the adapter
        attach(model, {"1.weight": 1})
    assert str(error.value) == (
        "the layers 0 were packed by an evaluation for a kernel without gradients and lost "
        "precision; load the model anew and attach before it is evaluated, for the base alone "
        "autolora.attach(model, {})"
    )


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (
            lambda: bnb.nn.Linear4bit(64, 32),
            'it is not quantised yet; move the model to its device first: model.to("cpu")',
        ),
        (
            lambda: bnb.nn.Linear8bitLt(64, 32, has_fp16_weights=False),
            'it is not quantised yet; move the model to its device first: model.to("cpu")',
        ),
        (
            lambda: bnb.nn.Linear8bitLt(64, 32),
            "it is quantised anew at every call; build its layer with has_fp16_weights=False",
        ),
        (
            lambda: bnb.nn.Embedding4bit(64, 64, quant_storage=torch.bfloat16).to("cpu"),
            "only its own layer can unpack it; leave it out",
        ),
    ],
)
def test_refused_with_the_sentence(layer: object, sentence: str) -> None:
    model = nn.Sequential(layer())  # type: ignore[operator]
    assert targets(model) == ()
    assert [refusal.name for refusal in refusals(model)] == ["0.weight"]
    with pytest.raises(RefusedTarget) as error:
        attach(model, {"0.weight": 1})
    assert str(error.value) == f"0.weight cannot be adapted: {sentence}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_model_loaded_in_4_bits_by_transformers(tmp_path: Path) -> None:
    """It says `is_loaded_in_4bit`, which nothing here reads; PEFT answers alike with the file."""
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(vocab_size=64, num_attention_heads=4, **sizes)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    bits = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    model = transformers.LlamaForCausalLM.from_pretrained(
        tmp_path / "base", quantization_config=bits, device_map="cpu"
    ).train()
    assert model.is_loaded_in_4bit
    tokens = torch.arange(8).view(1, 8)
    before = model(tokens).logits
    adapter = attach(model, {f"model.layers.{i}.mlp.down_proj.weight": 2 for i in (0, 1)})
    assert torch.equal(model(tokens).logits, before)
    for part in adapter.factors.values():
        nn.init.normal_(part.up)
    answer = model(tokens).logits.detach()
    check(model, lambda m: m(tokens).logits)
    save(model.train(), tmp_path / "adapter", format="peft")
    detach(model)
    assert torch.equal(model(tokens).logits, before)
    theirs = peft.PeftModel.from_pretrained(model, str(tmp_path / "adapter")).train()
    torch.testing.assert_close(theirs(tokens).logits, answer, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(answer, before, atol=1e-2)
