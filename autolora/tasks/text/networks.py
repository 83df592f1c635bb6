"""The network of a text task: which one, what of it is new, how long its texts may be."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from autolora.artifacts.fingerprint import Fingerprint
from autolora.data import pretrained
from autolora.data.models import build
from autolora.data.pretrained import Loaded, Pretrained
from autolora.data.sentence_classifier import Pooling, SentenceClassifier
from autolora.errors import NoSuchModule, TokenizerNeeded, TooManyTokens
from autolora.registry import nearest
from autolora.tasks.text.options import TextOptions

AUTO = {
    "classification": "AutoModelForSequenceClassification",
    "multi_label": "AutoModelForSequenceClassification",
    "regression": "AutoModelForSequenceClassification",
    "token_classification": "AutoModelForTokenClassification",
    "causal_lm": "AutoModelForCausalLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
}


@dataclass(frozen=True)
class Source:
    """Where model and tokenizer come from.

    Attributes:
        model: None where the model is code.
        tokenizer: What makes numbers of texts.
    """

    options: TextOptions
    model: Pretrained | None
    tokenizer: Any

    @classmethod
    def of(cls, options: TextOptions) -> "Source":
        """Finds both; nothing is loaded but the tokenizer.

        Raises:
            TokenizerNeeded: if the model is code and no tokenizer is named.
            TooManyTokens: if the texts may be longer than the model can read.
        """
        model = None if options.own_code else pretrained.find(options.model)
        spoken = pretrained.find(options.tokenizer) if options.tokenizer else model
        if spoken is None:
            raise TokenizerNeeded(options.model)
        source = cls(options, model, pretrained.tokenizer(spoken))
        if options.max_length > (most := source._most()):
            raise TooManyTokens(options.max_length, most)
        return source

    def ordered(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """The classes as the model's own head has them, where it tells the same apart."""
        own = pretrained.labels(self.model) if self.model else ()
        return own if set(own) == set(classes) else classes

    def load(self, classes: tuple[str, ...] | None, *, allow_code: bool) -> Loaded:
        """The base, with a head for these classes, or one number where there are none."""
        if self.model is None:
            return _coded(self.options, allow_code=allow_code)
        auto = AUTO[self.options.objective]
        if self.options.objective in ("causal_lm", "seq2seq"):
            return pretrained.load(self.model, auto)
        outputs = len(classes or ("",))
        pooling = self._pooling()
        if pooling != "model":
            return _pooled(self.model, pooling, outputs)
        own = pretrained.labels(self.model)
        keep = len(own) == outputs if classes is None else own == classes
        return pretrained.load(self.model, auto, outputs, keep=keep)

    def _pooling(self) -> Any:
        if self.options.pooling != "auto" or self.options.objective == "token_classification":
            return self.options.pooling.replace("auto", "model")
        assert self.model is not None
        saved = pretrained.config(self.model).architectures or ("Model",)
        return "mean" if saved[0].endswith("Model") else "model"

    def _most(self) -> int:
        most = getattr(self.tokenizer, "model_max_length", None) or self.options.max_length
        if self.model is not None:
            positions = getattr(pretrained.config(self.model), "max_position_embeddings", None)
            most = min(most, positions or most)
        return int(most)


def call(model: nn.Module, inputs: dict[str, Tensor]) -> Any:
    """Calls a model as transformers names its inputs."""
    return model(**inputs)


def identity(loaded: Loaded) -> str:
    """A digest of the base without its new head."""
    inside = {
        f"{name}.{each}"
        for name in loaded.head
        for each, _ in loaded.model.get_submodule(name).named_parameters()
    }
    return Fingerprint.of(loaded.model, trained=inside).digest


def _coded(options: TextOptions, *, allow_code: bool) -> Loaded:
    model = build(options.model, allow_code=allow_code)
    known = [name for name, _ in model.named_modules() if name]
    for name in options.head:
        if name not in known:
            raise NoSuchModule(name, nearest(name, known))
    return Loaded(model.eval(), options.head)


@cache
def _pooled(of: Pretrained, pooling: Pooling, outputs: int) -> Loaded:
    """A new linear layer over an encoder; its head is drawn later."""
    encoder: Any = pretrained.load(of, "AutoModel").model
    if encoder.config.is_encoder_decoder:
        encoder = encoder.get_encoder()
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # of the first token, trained for another end, and not used
    name = encoder.base_model_prefix or "encoder"
    with torch.random.fork_rng(devices=[]):
        model = SentenceClassifier(encoder, name, pooling, outputs)
    return Loaded(model.eval(), ("classifier",))
