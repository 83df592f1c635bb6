"""A mixed batch gives what one call per sample with only its adapter gives."""

import copy
import pickle
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import autolora
from autolora.errors import AutoloraError, Disabled, NoSuchAdapter, NotMixable, WrongBatch
from autolora.lora import attach, targets
from autolora.lora.active import activate
from autolora.lora.packed import split
from autolora.lora.targets import every_target

Names = Sequence[str | None]
Call = Callable[[nn.Module, Tensor], Tensor]

RANKS = {"a": 1, "b": 3, "c": 4, "d": 2}
PATTERNS: dict[str, Names] = {
    "identical": ["b"] * 6,
    "base": [None] * 6,
    "distinct": ["d", "a", None, "c", "b", "absent"],
    "uniform": ["a", "b", "c", "a", "b", "c"],
    "zipf": ["a", "b", "a", "c", "a", "b"],
    "skewed": ["b", "c", "c", "c", "c", "c"],
    "none_among_them": [None, "c", None, "a", "c", None],
}


def call(model: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = model(x)
    return y


def attention(**how: bool) -> Call:
    def attend(model: nn.Module, x: Tensor) -> Tensor:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[:, -1] = True
        y, weights = model(x, x, x, key_padding_mask=padding, **how)
        return y if weights is None else torch.cat([y.flatten(1), weights.flatten(1)], 1)

    return attend


def masked(model: nn.Module, x: Tensor) -> Tensor:
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    y: Tensor = model(x, x, x, attn_mask=mask, need_weights=False)[0]
    return y


def crossed(model: nn.Module, x: Tensor) -> Tensor:
    key, value = model.kdim, model.vdim
    y: Tensor = model(x, x[:, :3, :key], x[:, 1:4, :value])[0]
    return y


def memory(model: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = model(x, x[:, :3] * 0.5, x[:, :3] * 0.5)[0]
    return y


def time_first(model: nn.Module, x: Tensor) -> Tensor:
    x = x.transpose(0, 1)
    y = model(x, x, x)[0] if isinstance(model, nn.MultiheadAttention) else model(x)
    return y.transpose(0, 1)


def decoded(model: nn.Module, x: Tensor) -> Tensor:
    x = x.transpose(0, 1)
    return model(x, x[:4] * 0.3).transpose(0, 1)


def fused_linear() -> nn.Module:
    layer = nn.Linear(8, 16)
    split(layer, {"query": 8, "key": 4, "value": 4})
    return layer


def encoder(*, batch_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def words(*shape: int) -> Tensor:
    return torch.randint(0, 9, shape)


MHA = nn.MultiheadAttention
SHAPE = (6, 6, 8)  # as many time steps as samples, so that a mix-up of both shows
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], Call]] = {
    "linear": (lambda: nn.Linear(8, 5), lambda: torch.randn(SHAPE), call),
    "linear_single": (lambda: nn.Linear(8, 5, bias=False), lambda: torch.randn(6, 8), call),
    "linear_long": (lambda: nn.Linear(8, 5), lambda: torch.randn(6, 800, 8), call),
    "linear_wide": (lambda: nn.Linear(8, 5), lambda: torch.randn(6, 2, 3, 8), call),
    "blocks": (fused_linear, lambda: torch.randn(SHAPE), call),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, 2), lambda: torch.randn(6, 4, 9), call),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), lambda: torch.randn(6, 4, 5, 5), call),
    "conv3d": (lambda: nn.Conv3d(2, 4, 2, dilation=2), lambda: torch.randn(6, 2, 5, 4, 4), call),
    "grouped": (
        lambda: nn.Conv2d(4, 6, 3, padding="same", groups=2, padding_mode="reflect"),
        lambda: torch.randn(6, 4, 5, 5),
        call,
    ),
    "depthwise": (lambda: nn.Conv1d(4, 8, 3, groups=4), lambda: torch.randn(6, 4, 9), call),
    "pointwise": (lambda: nn.Conv2d(8, 6, 1), lambda: torch.randn(6, 8, 60, 60), call),
    "embedding": (lambda: nn.Embedding(9, 8, padding_idx=2), lambda: words(6, 6), call),
    "attention": (lambda: MHA(8, 2, batch_first=True), lambda: torch.randn(SHAPE), attention()),
    "attention_each_head": (
        lambda: MHA(8, 2, batch_first=True, add_bias_kv=True, add_zero_attn=True),
        lambda: torch.randn(SHAPE),
        attention(average_attn_weights=False),
    ),
    "attention_masked": (
        lambda: MHA(8, 2, batch_first=True, bias=False),
        lambda: torch.randn(SHAPE),
        masked,
    ),
    "attention_memory": (lambda: MHA(8, 2, batch_first=True), lambda: torch.randn(SHAPE), memory),
    "attention_three": (
        lambda: MHA(8, 2, batch_first=True),
        lambda: torch.randn(SHAPE),
        crossed,
    ),
    "attention_crossed": (
        lambda: MHA(8, 2, kdim=6, vdim=5, batch_first=True),
        lambda: torch.randn(SHAPE),
        crossed,
    ),
    "attention_time_first": (lambda: MHA(8, 2), lambda: torch.randn(SHAPE), time_first),
    "encoder": (lambda: encoder(batch_first=True), lambda: torch.randn(SHAPE), call),
    "encoder_time_first": (
        lambda: encoder(batch_first=False),
        lambda: torch.randn(SHAPE),
        time_first,
    ),
    "decoder_time_first": (
        lambda: nn.TransformerDecoderLayer(8, 2, 12, dropout=0.0),
        lambda: torch.randn(SHAPE),
        decoded,
    ),
}
EACH = pytest.mark.parametrize(("make", "inputs", "run"), CASES.values(), ids=CASES)


def adapted(model: nn.Module, **how: float) -> nn.Module:
    """A model with adapters of other ranks, scales and targets; one has but a single target."""
    model = model.double()
    found = targets(model)
    for number, (name, rank) in enumerate(RANKS.items()):
        ranks = {t.name: min(rank, t.max_rank) for t in found[:: 1 + number % 2]}
        _randomised(attach(model, ranks, name=name, scale=0.5 + number, **how))
    last = found[-1]
    _randomised(attach(model, {last.name: 1}, name="absent"))
    return model


def _randomised(adapter: autolora.Attached) -> None:
    for part in adapter.factors.values():
        for factor in part.parameters():
            nn.init.normal_(factor, std=0.5)


def looped(model: nn.Module, x: Tensor, names: Names, run: Call = call) -> Tensor:
    outs = []
    for sample, name in zip(x.split(1), names, strict=True):
        with activate(model, () if name is None else name):
            outs.append(run(model, sample))
    return torch.cat(outs)


def gradients(model: nn.Module, out: Tensor) -> dict[str, Tensor | None]:
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not out.requires_grad:
        return dict.fromkeys(named)
    slopes = torch.arange(out.numel(), dtype=out.dtype).view(out.shape).sin()
    found = torch.autograd.grad(out, list(named.values()), slopes, allow_unused=True)
    return dict(zip(named, found, strict=True))


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def check_gradients(model: nn.Module, found: Tensor, wanted: Tensor, names: Names) -> None:
    there, wished = gradients(model, found), gradients(model, wanted)
    for name, gradient in wished.items():
        one = there[name]
        assert one is None or name.split(".")[-2].partition("[")[0] in names
        if one is None or gradient is None:
            assert gradient is None or not gradient.any()
            assert one is None or not one.any()
        else:
            close(one, gradient)


@EACH
@pytest.mark.parametrize("names", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("training", [True, False])
def test_it_is_one_call_for_each_sample(make, inputs, run, names, training) -> None:
    torch.manual_seed(0)
    model = adapted(make()).train(training)
    x = inputs() if isinstance(make(), nn.Embedding) else inputs().double()
    wanted = looped(model, x, names, run)
    with autolora.mixed(model, names):
        found = run(model, x)
        with torch.no_grad():
            close(run(model, x), wanted)
    close(found, wanted)
    check_gradients(model, found, wanted, names)


@EACH
def test_the_order_of_the_samples_does_not_matter(make, inputs, run) -> None:
    torch.manual_seed(0)
    model, names = adapted(make()), PATTERNS["distinct"]
    x = inputs() if isinstance(make(), nn.Embedding) else inputs().double()
    order = torch.randperm(6)
    with torch.no_grad():
        with autolora.mixed(model, names):
            wanted = run(model, x)[order]
        with autolora.mixed(model, [names[i] for i in order]):
            close(run(model, x[order]), wanted)


@EACH
def test_every_named_adapter_shows(make, inputs, run) -> None:
    torch.manual_seed(0)
    model = adapted(make())
    x = inputs() if isinstance(make(), nn.Embedding) else inputs().double()
    with torch.no_grad(), autolora.mixed(model, [None] * 6):
        base = run(model, x)
    with torch.no_grad(), autolora.mixed(model, PATTERNS["distinct"]):
        found = run(model, x)
    changed = (found - base).flatten(1).abs().amax(1) > 1e-6
    assert changed.tolist() == [name is not None for name in PATTERNS["distinct"]]


def test_a_delta_over_a_whole_pack_is_cut_for_a_memory() -> None:
    torch.manual_seed(0)
    model = adapted(MHA(8, 2, batch_first=True))
    whole = next(t.name for t in every_target(model) if t.name == "in_proj_weight")
    _randomised(attach(model, {whole: 2}, name="whole"))
    x, names = torch.randn(SHAPE).double(), ["a", "whole", "b", None, "whole", "c"]
    wanted = looped(model, x, names, memory)
    with autolora.mixed(model, names):
        found = memory(model, x)
    close(found, wanted)
    check_gradients(model, found, wanted, names)


@pytest.mark.parametrize("widths", [{}, {"kdim": 6, "vdim": 5}], ids=["packed", "separate"])
@pytest.mark.parametrize("names", [["in", None, "in"], ["out", None, "out"], ["in", "out", None]])
def test_projections_that_some_adapters_leave_out(widths, names) -> None:
    torch.manual_seed(0)
    model = MHA(8, 2, batch_first=True, **widths).double()
    found = [t.name for t in targets(model)]
    _randomised(attach(model, dict.fromkeys(found[:-1], 2), name="in"))
    _randomised(attach(model, {found[-1]: 2}, name="out"))
    x = torch.randn(3, 5, 8).double()
    run = crossed if widths else memory
    wanted = looped(model, x, names, run)
    with autolora.mixed(model, names):
        out = run(model, x)
    close(out, wanted)
    check_gradients(model, out, wanted, names)


def bert() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=12,
    )
    return transformers.BertModel(config), lambda m, x: m(x).last_hidden_state


def llama() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
        tie_word_embeddings=False,
    )
    return transformers.LlamaForCausalLM(config), lambda m, x: m(x).logits


def whisper() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        vocab_size=40,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        num_mel_bins=4,
        max_source_positions=6,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )

    def run(model: nn.Module, x: Tensor) -> Tensor:
        mel = x.double().repeat_interleave(2, 1)[:, None] * torch.arange(4.0)[:, None] / 40
        y: Tensor = model(mel, decoder_input_ids=x[:, :4]).last_hidden_state
        return y

    return transformers.WhisperModel(config), run


def vit() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=8,
        patch_size=4,
    )

    def run(model: nn.Module, x: Tensor) -> Tensor:
        image = (x.double() / 40)[:, None, :, None].repeat(1, 3, 2, 8)[:, :, :8]
        y: Tensor = model(image).last_hidden_state
        return y

    return transformers.ViTModel(config), run


@pytest.mark.parametrize("make", [bert, llama, whisper, vit])
@pytest.mark.parametrize("names", PATTERNS.values(), ids=PATTERNS)
def test_models_of_transformers(make, names) -> None:
    torch.manual_seed(0)
    model, run = make()
    model = model.double().eval()
    found = [t for t in targets(model) if "position" not in t.name]
    for number, (name, rank) in enumerate(RANKS.items()):
        chosen = {t.name: min(rank, t.max_rank) for t in found[:: 1 + number % 2]}
        _randomised(attach(model, chosen, name=name, scale=0.1 + 0.1 * number))
    _randomised(attach(model, {found[-1].name: 1}, name="absent"))
    x = words(6, 6) + 3
    wanted = looped(model, x, names, run)
    with autolora.mixed(model, names):
        out = run(model, x)
    with torch.no_grad(), autolora.mixed(model, names):
        close(run(model, x), wanted)
    close(out, wanted)
    check_gradients(model, out, wanted, names)


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3)
    return adapted(nn.Sequential(*layers))


X = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).double()
NAMES: Names = ["a", None, "c", "b"]


def test_the_active_set_and_its_shares_do_not_count() -> None:
    model = net()
    wanted = looped(model, X, NAMES)
    with activate(model, {"a": 0.25, "d": 2.0}):
        before = model(X)
        with autolora.mixed(model, NAMES):
            close(model(X), wanted)
        with autolora.mixed(model, ["a"] * 4):
            close(model(X), looped(model, X, ["a"] * 4))
        assert torch.equal(model(X), before)


def test_contexts_nest_and_errors_end_them() -> None:
    model, other = net(), ["b", "b", None, "d"]
    before, first, second = model(X), looped(model, X, NAMES), looped(model, X, other)
    with autolora.mixed(model, NAMES):
        with autolora.mixed(model, other):
            close(model(X), second)
            with autolora.mixed(model, ["a"] * 4):
                pass
            close(model(X), second)
        close(model(X), first)
        with pytest.raises(ZeroDivisionError), autolora.mixed(model, other):
            _ = 1 / 0
        with pytest.raises(NoSuchAdapter), autolora.mixed(model, ["z", "a", "a", "a"]):
            pass
        close(model(X), first)
    assert torch.equal(model(X), before)


def test_a_copy_made_inside_is_in_no_mixed_batch() -> None:
    model = net()
    before = model(X)
    with autolora.mixed(model, NAMES):
        copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for other in copies:
        assert torch.equal(other(X), before)


def test_a_changed_factor_is_seen_within_the_context() -> None:
    model = net()
    with torch.no_grad(), autolora.mixed(model, NAMES):
        before = model(X)
        for name, parameter in model.named_parameters():
            if name.endswith("a.up"):
                parameter.mul_(2)
        after = model(X)
    close(after, looped(model, X, NAMES))
    assert not torch.allclose(after[0], before[0])
    close(after[1:], before[1:])


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda: nn.Linear(6, 4), lambda: torch.ones(4, 6)),
        (lambda: nn.Conv1d(4, 6, 3), lambda: torch.ones(4, 4, 5)),
        (lambda: nn.Embedding(9, 4), lambda: torch.ones(4, 3, dtype=torch.long)),
    ],
    ids=["linear", "conv", "embedding"],
)
@pytest.mark.parametrize("grad", [True, False])
def test_inputs_are_dropped_as_each_adapter_says(make, x, grad) -> None:
    torch.manual_seed(0)
    layer, inputs = make(), x()
    for name, rate in (("a", 0.4), ("b", 0.0)):
        _randomised(attach(layer, {"weight": 2}, name=name, dropout=rate))
    layer.train()
    with autolora.mixed(layer, ["a", None, "b", "a"]), torch.set_grad_enabled(grad):
        draws = torch.stack([layer(inputs).detach() for _ in range(2000)])
    with autolora.mixed(layer.eval(), ["a", None, "b", "a"]):
        wanted = layer(inputs).detach()
    spread = draws.std(0)
    assert (spread[[0, 3]].flatten(1).amax(1) > 0.1).all()
    assert spread[[1, 2]].abs().max() < 1e-5
    assert ((draws.mean(0) - wanted).abs() <= 5 * spread / 2000**0.5 + 1e-4).all()
    assert not torch.equal(draws[:, 0], draws[:, 3])  # no draw is shared by two samples


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_inside_the_context_see_it_again(reentrant) -> None:
    model = net()

    def run(x: Tensor) -> Tensor:
        middle = checkpoint(model[1:4], model[0](x), use_reentrant=reentrant)
        out: Tensor = model[4](middle)
        return out

    with autolora.mixed(model, NAMES):
        wanted = gradients(model, model(X))
        run(X).backward(torch.arange(12.0).double().view(4, 3).sin())
    for name, parameter in model.named_parameters():
        if wanted.get(name) is None:
            assert parameter.grad is None
        else:
            close(parameter.grad, wanted[name])


def test_a_backward_pass_after_the_context_is_noticed_by_the_checkpoint() -> None:
    model = net()
    with autolora.mixed(model, NAMES):
        out = checkpoint(model[1:4], model[0](X), use_reentrant=False).sum()
    with pytest.raises(torch.utils.checkpoint.CheckpointError):
        out.backward()


@pytest.mark.parametrize("grad", [True, False])
def test_autocast(grad) -> None:
    model = net().float()
    wanted = looped(model, X.float(), NAMES)
    half = torch.autocast("cpu", torch.bfloat16)
    with half, autolora.mixed(model, NAMES), torch.set_grad_enabled(grad):
        found = model(X.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=0.1, atol=0.1)


@pytest.mark.slow
def test_what_is_compiled_is_right_for_every_batch() -> None:
    model = net()
    compiled = torch.compile(model, backend="eager")
    plain = compiled(X)
    for names in (NAMES, NAMES[::-1], ["a"] * 4, [None] * 4):
        with autolora.mixed(model, names):
            found = compiled(X)
        close(found, looped(model, X, names))
    close(compiled(X), plain)

    @torch.compile(backend="eager")
    def inside(x: Tensor) -> Tensor:
        with autolora.mixed(model, NAMES):
            y: Tensor = model(x)
        return y

    close(inside(X), looped(model, X, NAMES))


def test_an_unknown_name_is_refused() -> None:
    refused = pytest.raises(NoSuchAdapter, match="no adapter named 'z', but a, b, c, d, absent")
    with refused, autolora.mixed(net(), ["a", "z", None, None]):
        pass


def test_hidden_adapters_are_refused() -> None:
    model = net()
    with autolora.disabled(model), pytest.raises(Disabled), autolora.mixed(model, NAMES):
        pass


@pytest.mark.parametrize("shape", [(3, 6), (8, 6), (6,), (1, 4, 6)])
def test_another_number_of_samples_is_refused(shape) -> None:
    model = net()
    with autolora.mixed(model, NAMES), pytest.raises(WrongBatch, match=r"0\.weight was given"):
        model(torch.randn(shape).double())


NOT_SAMPLES_FIRST: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], Call]] = {
    "positions": (lambda: nn.Embedding(9, 4), lambda: words(4), call),
    "one_image": (lambda: nn.Conv2d(4, 4, 1), lambda: torch.randn(4, 3, 3).double(), call),
    "attention": (
        lambda: MHA(8, 2),
        lambda: torch.randn(4, 3, 8).double(),
        lambda m, x: m(x, x, x)[0],
    ),
    "one_sequence": (
        lambda: MHA(8, 2),
        lambda: torch.randn(4, 8).double(),
        lambda m, x: m(x, x, x)[0],
    ),
}


@pytest.mark.parametrize(("make", "x", "run"), NOT_SAMPLES_FIRST.values(), ids=NOT_SAMPLES_FIRST)
def test_samples_elsewhere_are_refused(make, x, run) -> None:
    model = adapted(make())
    with autolora.mixed(model, NAMES), pytest.raises(WrongBatch):
        run(model, x())


class Reader(nn.Module):
    """A parent that reads its layer's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.layer.weight.T


REFUSED: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], object]]] = {
    "lstm": (lambda: nn.LSTM(6, 4, batch_first=True), lambda m: m(torch.randn(4, 3, 6).double())),
    "gru_cell": (lambda: nn.GRUCell(6, 4), lambda m: m(X)),
    "bilinear": (lambda: nn.Bilinear(6, 6, 3), lambda m: m(X, X)),
    "transposed": (
        lambda: nn.ConvTranspose1d(4, 6, 3),
        lambda m: m(torch.randn(4, 4, 5).double()),
    ),
    "reader": (Reader, lambda m: m(X)),
}


@pytest.mark.parametrize(("make", "run"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("grad", [True, False])
def test_what_cannot_tell_samples_apart_is_refused(make, run, grad) -> None:
    model = adapted(make())
    with torch.set_grad_enabled(grad), autolora.mixed(model, ["b"] * 4):
        run(model)  # of one adapter alone it need not
    with torch.set_grad_enabled(grad), autolora.mixed(model, NAMES), pytest.raises(NotMixable):
        run(model)


def test_errors_are_one_sentence() -> None:
    for error in (NoSuchAdapter("z", ["a"]), WrongBatch("head.weight", (3, 6), 0, 4)):
        assert isinstance(error, AutoloraError)
        assert "\n" not in str(error)
