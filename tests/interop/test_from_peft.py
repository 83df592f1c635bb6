"""What PEFT writes for its many settings is read as PEFT itself means it, or refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch import Tensor, nn

import autolora
from autolora.errors import NotPlainLora
from autolora.lora.views.experts import Mixture, Multiplied
from autolora.testing.stage import MODES, Mode, close, differ, tensors

pytestmark = pytest.mark.filterwarnings("ignore")  # of several libraries that are not ours


class Net(nn.Module):
    """Numbered layers, a recurrent one, attention, experts."""

    def __init__(self) -> None:
        super().__init__()
        blocks = (nn.ModuleDict({"fc": nn.Linear(6, 6)}) for _ in range(3))
        self.body = nn.ModuleDict({"blocks": nn.ModuleList(blocks)})
        self.memory = nn.LSTM(6, 6, num_layers=2, bidirectional=True, proj_size=3)
        self.attention = nn.MultiheadAttention(6, 2, add_bias_kv=True)
        self.experts = Mixture()
        self.wave = nn.Conv2d(1, 2, 3, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.body["blocks"]:
            x = torch.tanh(block["fc"](x))
        x = self.memory(x)[0]
        x = x + self.attention(x, x, x)[0]
        x = x + self.wave(x[:, None]).sum(1)
        flat = x.flatten(0, 1)
        scores: Tensor = self.head(self.experts(flat, torch.arange(len(flat)) % 3))
        return scores


def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().double().eval()


X = (torch.randn(4, 3, 6, generator=torch.Generator().manual_seed(5)).double(),)


def by_peft(model: nn.Module, folder: Path, config: PeftConfig, **how: Any) -> nn.Module:
    """A model that PEFT adapted, with random factors, saved by PEFT."""
    made = get_peft_model(model, config, autocast_adapter_dtype=False).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.requires_grad and "ranknum" not in name:  # which PEFT does not save
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    made.save_pretrained(folder, **how)
    return made


def same_as_peft(make: Callable[[], nn.Module], made: nn.Module, folder: Path, *x: Any) -> Any:
    """Loads what PEFT saved onto a fresh base and compares all modes; gives our adapter."""
    model = make()
    with torch.no_grad():
        before = tensors(model(*x))
    adapter = autolora.load(model, folder)
    for mode in MODES:
        model.train(mode == "train"), made.train(mode == "train")
        with torch.set_grad_enabled(mode != "no_grad"):
            found, wanted = tensors(model(*x)), tensors(made(*x))
        close(found, wanted)
        assert differ(before, found)
    return adapter


ALL = ["fc", "head", "wave"]
RECURRENT = [f"memory.weight_{w}_{n}" for w in ("ih", "hh", "hr") for n in ("l0", "l1_reverse")]
CONFIGS: dict[str, dict[str, Any]] = {
    "excluded": {"target_modules": ALL, "exclude_modules": ["blocks.1.fc", "head"]},
    "excluded by a regex": {"target_modules": ALL, "exclude_modules": r".*\.[01]\.fc"},
    "some layers": {
        "target_modules": ["fc"], "layers_to_transform": [0, 2], "layers_pattern": "blocks",
    },
    "ranks by regexes": {
        "target_modules": ALL,
        "rank_pattern": {r"blocks\.[01]\.fc": 5, "head": 2, r"^wave": 1},
        "alpha_pattern": {r".*blocks\.\d\.fc": 3, "fc": 99, "head": 7},
    },
    "more rank than there is": {"target_modules": ALL, "r": 40},
    "attention": {"target_modules": ["attention"]},
    "attention of a rank of its own": {
        "target_modules": ["attention", "head"], "rank_pattern": {"attention": 2},
        "use_rslora": True,
    },
    "parameters": {"target_parameters": RECURRENT},
    "parameters with alphas": {
        "target_parameters": RECURRENT,
        "rank_pattern": {"weight_hh_l0": 2}, "alpha_pattern": {r"memory\.weight_hr.*": 5},
    },
    "one parameter by the end of its name": {"target_parameters": ["weight_hh_l1"], "r": 3},
    "a parameter of a linear layer": {"target_parameters": ["head.weight"]},
    "experts": {"target_parameters": ["experts.gate_up_proj", "experts.down_proj"]},
    "experts of a rank of their own": {
        "target_parameters": ["experts.down_proj", "memory.weight_ih_l0"],
        "rank_pattern": {"experts.down_proj": 2}, "use_rslora": True,
    },
    "both": {"target_modules": ["attention", "fc"], "target_parameters": ["experts.gate_up_proj"]},
    "orthogonal": {"target_modules": ["fc"], "init_lora_weights": "orthogonal"},
    "head": {"target_modules": ["wave"], "modules_to_save": ["head"]},
}  # fmt: skip


@pytest.mark.parametrize("settings", CONFIGS.values(), ids=CONFIGS)
def test_we_answer_as_peft_does(settings: dict[str, Any], tmp_path: Path) -> None:
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, **settings})
    made = by_peft(net(), tmp_path / "a", config)
    same_as_peft(net, made, tmp_path / "a", *X)


@pytest.mark.parametrize("settings", CONFIGS.values(), ids=CONFIGS)
def test_it_goes_there_and_back(settings: dict[str, Any], tmp_path: Path) -> None:
    """PEFT to us, to PEFT again: what is not in PEFT's file is told, and we keep it."""
    made = by_peft(net(), tmp_path / "a", LoraConfig(**{"r": 4, "lora_alpha": 6, **settings}))
    model, again = net(), net()
    autolora.load(model, tmp_path / "a")
    beside = autolora.save(model, tmp_path / "b", format="peft")
    autolora.load(again, tmp_path / "b")
    close(tensors(again(*X)), tensors(made(*X)))
    if not beside:
        loaded = PeftModel.from_pretrained(net(), tmp_path / "b", autocast_adapter_dtype=False)
        close(tensors(loaded.eval()(*X)), tensors(made(*X)))
    assert all("attention.out_proj" in name for name in beside)


class Transposed(nn.Module):
    """Experts stored as (experts, inputs, outputs), and a layer of the model's own around them."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = Multiplied()
        self.experts.is_transposed = True

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.experts(x)
        return y


@pytest.mark.parametrize("rank", [2, 9])
def test_experts_stored_transposed(rank: int, tmp_path: Path) -> None:
    def make() -> nn.Module:
        torch.manual_seed(0)
        return Transposed().double().eval()

    x = torch.randn(3, 4, 6).double()
    config = LoraConfig(r=rank, lora_alpha=3, target_parameters=["experts.weight"])
    made = by_peft(make(), tmp_path / "a", config)
    same_as_peft(make, made, tmp_path / "a", x)
    model = make()
    autolora.load(model, tmp_path / "a")
    assert autolora.save(model, tmp_path / "b", format="peft") == ()
    loaded = PeftModel.from_pretrained(make(), tmp_path / "b", autocast_adapter_dtype=False)
    close(tensors(loaded.eval()(x)), tensors(made(x)))


@pytest.mark.parametrize("init", ["pissa", "olora", "pissa_niter_2"])
def test_a_converted_adapter_is_plain(init: str, tmp_path: Path) -> None:
    """Of twice the rank: what the start took from the base is given back."""
    config = LoraConfig(r=2, lora_alpha=3, target_modules=["fc"], init_lora_weights=init)
    made = get_peft_model(net().float(), config)
    made.peft_config["default"].init_lora_weights = True
    made.save_pretrained(tmp_path / "start")
    made.peft_config["default"].init_lora_weights = init
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    made.save_pretrained(
        tmp_path / "a", path_initial_model_for_weight_conversion=str(tmp_path / "start")
    )
    adapter = autolora.load(model := net(), tmp_path / "a")
    assert set(adapter.allocation.values()) == {4}
    close(tensors(model(*X)), tensors(made.double().eval()(*X)), 1e-5)  # it starts in float32
    made.save_pretrained(tmp_path / "b")
    with pytest.raises(NotPlainLora, match=init):
        autolora.load(net(), tmp_path / "b")


def test_eva_with_its_own_ranks(tmp_path: Path) -> None:
    config = LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules=["fc"],
        init_lora_weights="eva",
        eva_config=peft.EvaConfig(rho=2.0),
    )
    made = get_peft_model(net(), config, autocast_adapter_dtype=False)
    data = [torch.randn(4, 3, 6).double() for _ in range(8)]
    peft.initialize_lora_eva_weights(
        made,
        data,
        forward_fn=lambda model, batch: model(batch),
        prepare_model_inputs_fn=None,
        prepare_layer_inputs_fn=lambda inputs, *_: inputs[0].flatten(0, 1),
        show_progress_bar=False,
    )
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    made.save_pretrained(tmp_path / "a")
    assert made.peft_config["default"].rank_pattern
    adapter = same_as_peft(net, made, tmp_path / "a", *X)
    assert len(set(adapter.allocation.values())) > 1


def test_adalora_is_a_product_too(tmp_path: Path) -> None:
    config = peft.AdaLoraConfig(
        init_r=4, target_r=2, lora_alpha=6, target_modules=["fc", "wave"], total_step=10
    )
    made = by_peft(net(), tmp_path / "a", config)
    same_as_peft(net, made, tmp_path / "a", *X)


def test_adalora_with_the_ranks_it_found(tmp_path: Path) -> None:
    config = peft.AdaLoraConfig(
        init_r=4, target_r=1, lora_alpha=6, target_modules=["fc"], total_step=8, tinit=1,
        tfinal=1, deltaT=1,
    )  # fmt: skip
    made = get_peft_model(net(), config, autocast_adapter_dtype=False)
    for step in range(8):
        made.train()(*X).square().sum().backward()
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if "lora_" in name:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1 * (step < 5))
        made.base_model.update_and_allocate(step)
        made.zero_grad()
    made.save_pretrained(tmp_path / "a")
    kept = PeftModel.from_pretrained(net(), tmp_path / "a", autocast_adapter_dtype=False)
    adapter = same_as_peft(net, kept, tmp_path / "a", *X)
    assert max(adapter.allocation.values()) < 4 or len(adapter.allocation) < 3


OTHERS: dict[str, Callable[[], PeftConfig]] = {
    "LOHA": lambda: peft.LoHaConfig(target_modules=["fc"]),
    "LOKR": lambda: peft.LoKrConfig(target_modules=["fc"]),
    "IA3": lambda: peft.IA3Config(target_modules=["fc"], feedforward_modules=[]),
    "OFT": lambda: peft.OFTConfig(target_modules=["fc"], oft_block_size=3, r=0),
    "BOFT": lambda: peft.BOFTConfig(target_modules=["fc"], boft_block_size=3),
    "VERA": lambda: peft.VeraConfig(target_modules=["fc"], r=2),
    "HRA": lambda: peft.HRAConfig(target_modules=["fc"], r=2),
    "FOURIERFT": lambda: peft.FourierFTConfig(target_modules=["fc"], n_frequency=4),
    "LN_TUNING": lambda: peft.LNTuningConfig(target_modules=["fc"]),
    "DoRA": lambda: LoraConfig(target_modules=["fc"], use_dora=True),
    "lora_bias": lambda: LoraConfig(target_modules=["fc"], lora_bias=True),
    "biases": lambda: LoraConfig(target_modules=["fc"], bias="all"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_methods_are_refused_by_name(name: str, tmp_path: Path) -> None:
    get_peft_model(net(), OTHERS[name]()).save_pretrained(tmp_path / "a")
    model = net()
    before = {n: type(m) for n, m in model.named_modules()}
    with pytest.raises(NotPlainLora, match=name):
        autolora.load(model, tmp_path / "a")
    assert {n: type(m) for n, m in model.named_modules()} == before


@pytest.mark.parametrize("mode", MODES)
def test_peft_adds_the_delta_of_an_attentions_output_twice(mode: Mode, tmp_path: Path) -> None:
    """The limit: PEFT 0.21.2 does, in every mode. When this fails, `Place.times` may go."""
    config = LoraConfig(r=2, lora_alpha=2, target_modules=["attention"])
    made = by_peft(net(), tmp_path / "a", config).train(mode == "train")
    plain = net().train(mode == "train")
    state = made.state_dict()

    def product(path: str) -> Tensor:
        b, a = (state[f"base_model.model.{path}.lora_{half}.default.weight"] for half in "BA")
        return b @ a

    with torch.no_grad():
        plain.attention.in_proj_weight += product("attention")
        plain.attention.out_proj.weight += 2 * product("attention.base_layer.out_proj")
    close(tensors(made(*X)), tensors(plain(*X)))


# --- transformers --------------------------------------------------------------------------


def bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=12, max_position_embeddings=10,
    )  # fmt: skip
    return BertModel(config).double().eval()


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=12, max_position_embeddings=10,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return (
        GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=10, n_embd=8, n_layer=2, n_head=2))
        .double()
        .eval()
    )


def mixtral() -> nn.Module:
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=12, num_local_experts=3, num_experts_per_tok=2,
        max_position_embeddings=10, experts_implementation="eager",
    )  # fmt: skip
    return MixtralForCausalLM(config).double().eval()


MODELS = {"bert": bert, "llama": llama, "gpt2": gpt2, "mixtral": mixtral}
TOKENS = torch.arange(7)[None]


@torch.no_grad()
def answers(model: nn.Module) -> list[Tensor]:
    return [model(TOKENS)[0]]


def adapt(model: nn.Module) -> None:
    """Ranks 0 to 3 at every matrix that is not tied, with scales of their own."""
    known = [t for t in autolora.targets(model) if "wte" not in t.name and ".gate." not in t.name]
    ranks = {t.name: min(i % 4, t.max_rank) for i, t in enumerate(known)}
    adapter = autolora.attach(model, ranks, scale=lambda rank: 0.5 / rank**0.5)
    with torch.no_grad():
        for part in adapter.factors.values():
            part.up.normal_(), part.down.normal_(std=0.3)


@pytest.mark.parametrize("form", ["peft", "peft_uniform"])
@pytest.mark.parametrize("name", MODELS)
def test_transformers_answers_as_we_do(name: str, form: str, tmp_path: Path) -> None:
    made, base, ours = (MODELS[name]() for _ in range(3))
    adapt(made)
    before, wanted = answers(base), answers(made)
    assert differ(before, wanted)
    # The router of a mixture is a class of its own, that PEFT does not know.
    assert all("gate.weight" in n for n in autolora.save(made, tmp_path / "a", format=form))
    base.load_adapter(str(tmp_path / "a"))
    close(answers(base), wanted)
    autolora.load(ours, tmp_path / "a")
    close(answers(ours), wanted)
    peft_model = PeftModel.from_pretrained(
        MODELS[name](), tmp_path / "a", autocast_adapter_dtype=False
    )
    close(answers(peft_model.eval()), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_all_linear_layers_of_a_model_of_transformers(name: str, tmp_path: Path) -> None:
    config = LoraConfig(r=3, lora_alpha=5, target_modules="all-linear")
    made = by_peft(MODELS[name](), tmp_path / "a", config)
    model = MODELS[name]()
    before = answers(model)
    autolora.load(model, tmp_path / "a")
    close(answers(model), answers(made))
    assert differ(before, answers(model))
