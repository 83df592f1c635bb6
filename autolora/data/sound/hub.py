"""Transformers' models of recordings, from a folder or a hub id."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from autolora.data import pretrained
from autolora.data.pretrained import Pretrained
from autolora.data.sound import whispers
from autolora.data.sound.features import Feature, trimmed, whisper
from autolora.data.sound.letters import Letters
from autolora.data.sound.network import Heard, Network, undrawn
from autolora.data.sound.tokens import Tokens, of_transformers
from autolora.errors import CannotHear

_FRAMES_PER_SECOND = 100  # of every extractor of transformers that makes frames


def letters(name: str) -> Letters:
    """The letters that a model's own layer writes."""
    return Letters.of_tokenizer(pretrained.tokenizer(pretrained.find(name)))


def classifier(name: str, classes: int) -> Network:
    """A model with a new head for classes, as transformers puts it on this architecture."""
    of = pretrained.find(name)
    loaded = pretrained.load(of, "AutoModelForAudioClassification", classes, keep=False)
    base = _steady(loaded.model)
    if base.config.model_type == "whisper":
        feature = whisper(whispers.LONGEST, base.config.num_mel_bins)
        return Network(base, _frames_last, feature, loaded.head)
    feature, call = _as_extracted(of)
    return Network(base, call, feature, loaded.head)


def writer(name: str, own: bool, count: int) -> Network:
    """A model with CTC: with its own layer for letters, or a new one for a count of them."""
    of = pretrained.find(name)
    base = _steady(pretrained.load(of, "AutoModelForCTC").model)
    feature, call = _as_extracted(of)
    if own:
        return Network(base, partial(_written, call), feature)
    made = undrawn(lambda: nn.Linear(base.lm_head.in_features, count))
    base.lm_head = made
    return Network(base, partial(_written, call), feature, ("lm_head",))


def transcriber(name: str, seconds: int | None, language: str | None) -> tuple[Network, Tokens]:
    """A Whisper over a window of seconds, and the tokens that it writes.

    Raises:
        CannotHear: if the model is none.
    """
    of = pretrained.find(name)
    kind = pretrained.config(of).model_type
    if kind != "whisper":
        raise CannotHear(f"{name} ({kind})", "transcription", ["classification", "ctc"])
    base = _steady(pretrained.load(of, "AutoModelForSpeechSeq2Seq").model)
    tokens = of_transformers(pretrained.tokenizer(of), base, language)
    seconds = min(seconds or whispers.LONGEST, whispers.LONGEST)
    base = whispers.shortened(base, seconds)
    return Network(base, whispers.called, whisper(seconds, base.config.num_mel_bins)), tokens


def _steady(model: nn.Module) -> Any:
    """A copy without changes at random that torch's seed does not decide.

    Transformers masks inputs in training with numpy's generator, and leaves out whole layers.
    """
    base: Any = copy.deepcopy(model)
    base.config.apply_spec_augment = False
    base.config.layerdrop = 0.0
    return base


def _as_extracted(of: Pretrained) -> tuple[Feature, Callable[[nn.Module, Heard], Any]]:
    """What the folder's extractor makes of samples, and how its model is given that."""
    extract = pretrained.extractor(of)
    name, rate = extract.model_input_names[0], extract.sampling_rate
    compute = partial(_extracted, extract, name)
    short, long = (compute(torch.linspace(-1, 1, count)) for count in (rate // 10, rate // 5))
    settings = ("transformers", extract.to_dict())
    masked = bool(getattr(extract, "return_attention_mask", False))
    call = partial(_called, name, masked)
    if len(short) != len(long):
        return Feature(rate, compute, settings), call
    window = len(short)
    feature = Feature(
        rate, lambda s: trimmed(compute(s)), settings, window, window / _FRAMES_PER_SECOND
    )
    return feature, call


def _extracted(extract: Any, name: str, samples: Tensor) -> Tensor:
    given = extract(samples.numpy(), sampling_rate=extract.sampling_rate, return_tensors="np")
    values = torch.from_numpy(given[name][0]).float()
    return values[:, None] if values.dim() == 1 else values


def _called(name: str, masked: bool, model: nn.Module, heard: Heard) -> Any:
    """Models that were trained without a mask hear zeros after the end."""
    frames = heard.frames.squeeze(-1) if heard.frames.shape[-1] == 1 else heard.frames
    if not masked:
        return model(**{name: frames})
    places = torch.arange(frames.shape[1], device=frames.device)
    mask = (places < heard.lengths[:, None]).long()
    return model(**{name: frames}, attention_mask=mask)


def _written(
    call: Callable[[nn.Module, Heard], Any], model: Any, heard: Heard
) -> tuple[Tensor, Tensor]:
    counted = model._get_feat_extract_output_lengths(heard.lengths)  # noqa: SLF001 — no other name
    return call(model, heard).logits, counted


def _frames_last(model: nn.Module, heard: Heard) -> Any:
    return model(input_features=heard.frames.transpose(1, 2))
