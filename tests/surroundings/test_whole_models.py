"""What people do with a whole model: copy it, send it, convert it, load it, switch its modes."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import two_processes as work
from torch import Tensor, nn
from torch.multiprocessing import get_context

from autolora.errors import InPlaceEdit
from autolora.lora import Attached, attach, attached, detach
from autolora.testing.stage import add_dense, close, randomise, same

Copy = Callable[[nn.Module, Path], nn.Module]


def saved_whole(model: nn.Module, folder: Path) -> nn.Module:
    torch.save(model, folder / "model.pt")
    loaded: nn.Module = torch.load(folder / "model.pt", weights_only=False)
    return loaded


COPIES: dict[str, Copy] = {
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "torch.save": saved_whole,
}


@pytest.fixture
def adapter() -> Attached:
    return work.adapted()[1]


@pytest.fixture
def model(adapter: Attached) -> nn.Module:
    return adapter.model


def answer(model: nn.Module) -> Tensor:
    found: Tensor = model(work.TOKENS).detach()
    return found


@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES)
def test_a_copy_is_equal_and_independent(model: nn.Module, way: Copy, tmp_path: Path) -> None:
    before, twin = answer(model), way(model, tmp_path)
    same([answer(twin)], [before])
    work.train(twin, attached(twin), slice(0, 4))
    assert not torch.allclose(answer(twin), before)
    same([answer(model)], [before])
    detach(twin)
    same([answer(twin), answer(model)], [answer(work.network()), before])


@pytest.mark.slow
def test_another_process_gets_the_model_as_an_argument(model: nn.Module, tmp_path: Path) -> None:
    spawn(work.answer_elsewhere, model, tmp_path / "answer.pt")
    close([torch.load(tmp_path / "answer.pt")], [answer(model)], 1e-12)


@pytest.mark.slow
def test_in_shared_memory_another_process_trains_it(adapter: Attached, tmp_path: Path) -> None:
    before = copy.deepcopy(adapter.model.state_dict())
    adapter.model.share_memory()
    spawn(work.train_elsewhere, adapter.model, tmp_path / "losses.pt")
    twin, other = work.adapted()
    work.train(twin, other, slice(0, 4))
    close(list(adapter.model.state_dict().values()), list(twin.state_dict().values()))
    assert not torch.equal(before["head.lora.weight.default.up"], next(adapter.parameters()))


def spawn(job: Callable[[nn.Module, Path], None], model: nn.Module, file: Path) -> None:
    process = get_context("spawn").Process(target=job, args=(model, file))
    process.start()
    process.join(timeout=120)
    assert process.exitcode == 0


CONVERSIONS: dict[str, tuple[Callable[[nn.Module], nn.Module], torch.dtype]] = {
    "float": (lambda m: m.float(), torch.float32),
    "half": (lambda m: m.half(), torch.float16),
    "bfloat16": (lambda m: m.bfloat16(), torch.bfloat16),
    "to": (lambda m: m.to(torch.bfloat16), torch.bfloat16),
}


@pytest.mark.parametrize(("convert", "dtype"), CONVERSIONS.values(), ids=CONVERSIONS)
def test_base_and_factors_change_their_type_together(
    adapter: Attached, convert: Callable[[nn.Module], nn.Module], dtype: torch.dtype
) -> None:
    with torch.no_grad():
        for part in adapter.factors.values():  # so that an attention does not hang on one bit
            part.up.mul_(0.1)
    exact = answer(adapter.model)
    plain = convert(add_dense(work.network(), adapter))
    model = convert(adapter.model)
    assert {p.dtype for p in (*model.parameters(), *adapter.parameters())} == {dtype}
    found, wanted = answer(model), answer(plain)
    assert found.dtype == wanted.dtype == dtype
    scale = exact.abs().max()
    error, usual = ((t.double() - exact).abs().max() / scale for t in (found, wanted))
    assert error <= 4 * usual + 4 * torch.finfo(dtype).eps


def test_through_no_device_and_back(adapter: Attached) -> None:
    """Emptied, it is filled again by its own state."""
    state, before = copy.deepcopy(adapter.model.state_dict()), answer(adapter.model)
    model = adapter.model.to("meta")
    assert model(work.TOKENS.to("meta")).shape == before.shape
    model.to_empty(device="cpu").load_state_dict(state)
    same([answer(model)], [before])
    assert all(p.device.type == "cpu" for p in adapter.parameters())


def test_its_state_opens_strictly_in_its_like_only(model: nn.Module) -> None:
    twin = work.network()
    attach(twin, work.RANKS)
    assert str(twin.load_state_dict(model.state_dict())) == "<All keys matched successfully>"
    same([answer(twin)], [answer(model)])
    with pytest.raises(RuntimeError, match=r"Unexpected key.*lora.weight.default.up"):
        work.network().load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*lora.weight.default.up"):
        model.load_state_dict(work.network().state_dict())


def test_a_function_applied_to_every_module_meets_the_factors_too(model: nn.Module) -> None:
    met: list[str] = []
    model.apply(lambda module: met.append(type(module).__name__))
    assert met.count("LowRank") == len(work.RANKS)
    with pytest.raises(InPlaceEdit, match=r"layer\.weight.base"):
        model.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Linear) else None)


def test_who_asks_the_whole_model_for_gradients_trains_the_base(adapter: Attached) -> None:
    """Torch's own switch does what it says; detaching brings the old flags back."""
    model = adapter.model
    model.requires_grad_(True)
    plain = add_dense(work.network(), adapter)
    for one in (model, plain):
        one(work.TOKENS).square().sum().backward()
    base = dict(model.named_parameters())
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(base[name].grad, parameter.grad, msg=name)
    wanted = [p.grad.clone() for p in adapter.parameters()]
    model.zero_grad()
    model.requires_grad_(False)
    assert not model(work.TOKENS).requires_grad
    for parameter in adapter.parameters():  # the way back
        parameter.requires_grad_(True)
    model(work.TOKENS).square().sum().backward()
    close([p.grad for p in adapter.parameters()], wanted)
    own = {id(p) for p in adapter.parameters()}
    assert all(p.grad is None for p in model.parameters() if id(p) not in own)
    detach(model)
    assert all(p.requires_grad for p in model.parameters())


def test_modes_are_switched_at_will() -> None:
    model = work.network()
    randomise(attach(model, work.RANKS, dropout=0.5))
    quiet, state = answer(model.eval()), list(model.state_dict())
    torch.manual_seed(1)
    loud = answer(model.train())
    assert not torch.allclose(loud, quiet)
    model.eval()
    same([answer(model)], [quiet])
    torch.manual_seed(1)
    same([answer(model.train())], [loud])
    assert list(model.state_dict()) == state


def test_types_under_autocast_are_those_of_the_base(model: nn.Module) -> None:
    model, plain = model.float(), work.network().float()
    types: dict[nn.Module, list[torch.dtype]] = {model: [], plain: []}
    for one, found in types.items():
        for name in ("look_up", "encoder", "convolve", "head"):
            one.get_submodule(name).register_forward_hook(
                lambda _, __, out, found=found: found.append(out.dtype)
            )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            one(work.TOKENS).sum().backward()
    assert types[model] == types[plain]
    assert torch.bfloat16 in types[model]
    assert {p.grad.dtype for p in attached(model).parameters()} == {torch.float32}
