"""diffusers itself reads what we write in its format and in kohya's, and we read what it writes."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import autolora
from autolora.errors import AdapterFile, ManyComponents, NoSuchTarget, NotPlainLora
from autolora.lora.attach import Attached, attached
from autolora.testing.stage import add_dense, close, differ, randomise

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of two libraries that are not ours
]


def unet() -> nn.Module:
    """A UNet with attention, residual blocks and samplers; float64 and small."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    model: nn.Module = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=6,
        attention_head_dim=2,
        norm_num_groups=2,
    )
    return model.double().eval()


@pytest.fixture(scope="module")
def answer() -> Callable[[nn.Module], list[Tensor]]:
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(1, 4, 8, 8, generator=generator).double()
    text = torch.randn(1, 5, 6, generator=generator).double()

    @torch.no_grad()
    def run(model: nn.Module) -> list[Tensor]:
        return [model(noisy, torch.tensor([3]), text).sample]

    return run


def attach(model: nn.Module) -> Attached:
    """Ranks 0 to 3 and a scale of its own for each rank, on every matrix."""
    known = autolora.targets(model)
    ranks = {t.name: i % 4 for i, t in enumerate(known)}
    adapter = randomise(autolora.attach(model, ranks, scale=lambda rank: 0.3 / rank**0.5))
    with torch.no_grad():
        for part in adapter.factors.values():
            part.down.div_(part.down.shape[1] ** 0.5)
    return adapter


@pytest.fixture
def trained() -> nn.Module:
    model = unet()
    attach(model)
    return model


def saved(model: nn.Module, folder: Path, form: str, **about: Any) -> tuple[str, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return autolora.save(model, folder, format=form, about=about)


FILE = {"diffusers": "pytorch_lora_weights.safetensors", "kohya": "kohya.safetensors"}
FORMATS = list(FILE)


def pipeline(model: nn.Module) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    rest = ("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor")
    parts = {"unet": model, "scheduler": DDIMScheduler(), **dict.fromkeys(rest)}
    return StableDiffusionPipeline(**parts, requires_safety_checker=False)


@pytest.mark.parametrize("form", FORMATS)
def test_diffusers_answers_as_we_do(
    form: str, trained: nn.Module, answer: Any, tmp_path: Path
) -> None:
    assert saved(trained, tmp_path / "a", form) == ()
    base = unet()
    before, wanted = answer(base), answer(trained)
    assert differ(before, wanted)
    pipeline(base).load_lora_weights(tmp_path / "a", weight_name=FILE[form])
    close(answer(base), wanted)
    close(wanted, answer(add_dense(unet(), attached(trained))))


def test_a_folder_is_found_without_the_name_of_its_file(
    trained: nn.Module, answer: Any, tmp_path: Path
) -> None:
    saved(trained, tmp_path / "a", "diffusers")
    base = unet()
    pipeline(base).load_lora_weights(tmp_path / "a")
    close(answer(base), answer(trained))
    alone = unet()
    alone.load_lora_adapter(tmp_path / "a", prefix="unet", weight_name=FILE["diffusers"])
    close(answer(alone), answer(trained))


@pytest.mark.parametrize("form", FORMATS)
def test_it_comes_back_with_its_ranks(
    form: str, trained: nn.Module, answer: Any, tmp_path: Path
) -> None:
    saved(trained, tmp_path / "a", form)
    for name in ("autolora_extra.json", "autolora_extra.safetensors"):
        (tmp_path / "a" / name).unlink()  # as another program would write it
    model = unet()
    adapter = autolora.load(model, tmp_path / "a")
    assert adapter.allocation == autolora.Adapter.capture(trained).allocation
    close(answer(model), answer(trained))


@pytest.mark.parametrize("noted", [False, True], ids=["plain", "with its configuration"])
def test_we_answer_as_diffusers_does(noted: bool, answer: Any, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    made, model = unet(), unet()
    alpha = {"alpha_pattern": {"to_q": 5, "conv1": 3}, "rank_pattern": {"to_k": 3}}
    more = {"lora_alpha": 7, **alpha} if noted else {"lora_alpha": 2}
    config = LoraConfig(
        r=2, target_modules=["to_q", "to_k", "conv1"], init_lora_weights=False, **more
    )
    made.add_adapter(config)
    note = {"unet_lora_adapter_metadata": config.to_dict()} if noted else {}
    StableDiffusionPipeline.save_lora_weights(
        tmp_path / "a", unet_lora_layers=get_peft_model_state_dict(made.double()), **note
    )
    before = answer(model)
    autolora.load(model, tmp_path / "a")
    assert differ(before, answer(model))
    close(answer(model), answer(made))


class Odd(nn.Module):
    """What these files cannot hold beside what they can, and names that kohya cannot tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.at_q = nn.Linear(6, 6)
        self.at = nn.ModuleDict({"q": nn.Linear(6, 6)})
        self.grouped = nn.Conv1d(6, 6, 3, padding=1, groups=2)
        self.memory = nn.GRU(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.at["q"](self.at_q(x)) + self.grouped(x.mT).mT
        scores: Tensor = self.head(self.memory(y)[0])
        return scores


def odd() -> Odd:
    torch.manual_seed(0)
    return Odd().double().eval()


@pytest.mark.parametrize("form", FORMATS)
def test_what_does_not_fit_is_kept_beside(form: str, tmp_path: Path) -> None:
    made, model, x = odd(), odd(), torch.randn(4, 2, 6).double()
    adapter = autolora.attach(
        made, {t.name: 2 for t in autolora.targets(made) if t.layer != "head"}, scale=0.3
    ).also_train("head")
    randomise(adapter)
    nn.init.normal_(made.head.weight)
    beside = saved(made, tmp_path / "a", form)
    assert set(beside) > {"grouped.weight", "memory.weight_ih_l0[new]", "head.bias", "at_q.weight"}
    autolora.load(model, tmp_path / "a")
    close([model(x)], [made(x)])


def by_kohya(folder: Path, **tensors: Tensor) -> Path:
    folder.mkdir()
    save_file(
        {key.replace("__", "."): value for key, value in tensors.items()}, folder / FILE["kohya"]
    )
    return folder


def test_a_name_that_may_be_two_layers_is_refused(tmp_path: Path) -> None:
    folder = by_kohya(
        tmp_path / "a",
        lora_unet_at_q__lora_down__weight=torch.ones(1, 6),
        lora_unet_at_q__lora_up__weight=torch.ones(6, 1),
    )
    with pytest.raises(AdapterFile, match=r"lora_unet_at_q may be at\.q or at_q"):
        autolora.load(odd(), folder)


REFUSED: dict[str, tuple[dict[str, Tensor], type[Exception], str]] = {
    "loha": ({"lora_unet_head__hada_w1_a": torch.ones(3, 1)}, NotPlainLora, "LoHa"),
    "lokr": ({"lora_unet_head__lokr_w1": torch.ones(3, 1)}, NotPlainLora, "LoKr"),
    "dora": ({"lora_unet_head__dora_scale": torch.ones(3, 1)}, NotPlainLora, "DoRA"),
    "half": ({"lora_unet_head__lora_down__weight": torch.ones(2, 6)}, AdapterFile, "other half"),
    "prefix": ({"lycoris_head__lora_down__weight": torch.ones(2, 6)}, AdapterFile, "begins"),
    "unknown": (
        {"lora_unet_x__lora_down__weight": torch.ones(2, 6)}, NoSuchTarget, "lora_unet_head",
    ),
    "two models": (
        {
            "lora_unet_head__lora_down__weight": torch.ones(2, 6),
            "lora_te_head__lora_down__weight": torch.ones(2, 6),
        },
        ManyComponents,
        "lora_te, lora_unet",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_lora_of_the_model_is_refused(case: Any, tmp_path: Path) -> None:
    tensors, error, words = case
    with pytest.raises(error, match=words):
        autolora.load(odd(), by_kohya(tmp_path / "a", **tensors))


def test_kohyas_alpha_and_its_form_of_three_factors(tmp_path: Path) -> None:
    """LyCORIS puts a convolution between two of 1 × 1: still a product of rank 2."""
    torch.manual_seed(1)
    model, plain = (nn.Sequential(nn.Conv2d(3, 4, 3)).double() for _ in range(2))
    plain.load_state_dict(model.state_dict())
    down, mid, up = (torch.randn(*s).double() for s in ((2, 3, 1, 1), (2, 2, 3, 3), (4, 2, 1, 1)))
    halves = {"down__weight": down, "mid__weight": mid, "up__weight": up}
    named = {f"lora_unet_0__lora_{name}": value for name, value in halves.items()}
    autolora.load(model, by_kohya(tmp_path / "a", **named, lora_unet_0__alpha=torch.tensor(3.0)))
    x, f = torch.randn(1, 3, 5, 5).double(), nn.functional.conv2d
    wanted = plain(x) + 1.5 * f(f(f(x, down), mid), up)
    close([model(x)], [wanted])
    assert differ([plain(x)], [wanted])


def test_a_file_of_two_models_needs_both(tmp_path: Path) -> None:
    def pair() -> nn.ModuleDict:
        torch.manual_seed(0)
        return nn.ModuleDict({"unet": nn.Linear(4, 4), "text_encoder": nn.Linear(4, 4)})

    made, model = pair(), pair()
    randomise(autolora.attach(made, {"unet.weight": 2, "text_encoder.weight": 1}))
    for form in FORMATS:
        # These are roots of their own, below which a pipeline knows no layer.
        saved(made, tmp_path / form, form)
        autolora.load(model, tmp_path / form)
        close([p @ q for p, q in factors(model)], [p @ q for p, q in factors(made)])
        autolora.detach(model)


def factors(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [(f.up * f.scale, f.down) for f in attached(model).factors.values()]


def test_a_model_that_is_no_unet_names_its_component(tmp_path: Path) -> None:
    made, model = odd(), odd()
    randomise(autolora.attach(made, {"head.weight": 2}))
    saved(made, tmp_path / "a", "diffusers", component="transformer")
    keys = set(load_file(tmp_path / "a" / FILE["diffusers"]))
    assert keys == {"transformer.head.lora_A.weight", "transformer.head.lora_B.weight"}
    autolora.load(model, tmp_path / "a")
    x = torch.randn(4, 2, 6).double()
    close([model(x)], [made(x)])
