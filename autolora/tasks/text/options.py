"""What a study's `task` block says of texts."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from autolora.data.options import DataOptions
from autolora.space.read import Strict

Objective = Literal[
    "classification", "multi_label", "regression", "token_classification", "causal_lm", "seq2seq"
]
Names = Annotated[tuple[str, ...], Field(strict=False)]

# The options that mean something for some objectives only.
_ONLY: Mapping[str, tuple[Objective, ...]] = MappingProxyType(
    {
        "pooling": ("classification", "multi_label", "regression"),
        "class_weights": ("classification",),
        "packing": ("causal_lm",),
    }
)


class TextOptions(Strict):
    """The `task` block of a study of texts, without its type.

    Attributes:
        model: minilm, smollm2, a folder, a GGUF file, a hub id; or `package.module:function`, a
            model of your own that is called as transformers' are.
        data: Where the texts are. Roles: `text`, `text_pair`, `label` (classification; several
            labels, or a number, by objective); `words`, `tags` (token_classification); `text`,
            `prompt` (causal_lm); `text`, `target` (seq2seq); `group` always.
        objective: What is learnt.
        tokenizer: The folder, GGUF file or hub id of the tokenizer, where it is not the model's.
        head: The modules of a model of your own that are trained in full.
        max_length: How long an example may be; what is longer is cut.
        pooling: Which state a text is judged by, under a new linear layer: the mean over its
            tokens, its first, or its last; or as the `model` itself does it. "auto" is the mean
            for a model that was saved without a head, and else the model's way.
        metrics: What is measured beside the loss.
        class_weights: Whether rare classes count as much as frequent ones in training.
        packing: Whether the texts of train are joined and cut into blocks of `max_length`.

    Units: `max_length` in tokens.
    """

    model_config = ConfigDict(strict=True)

    model: str = Field(min_length=1)
    data: DataOptions
    objective: Objective = "classification"
    tokenizer: str | None = None
    head: Names = ()
    max_length: int = Field(default=128, ge=4)
    pooling: Literal["auto", "model", "mean", "first", "last"] = "auto"
    metrics: Names | None = None
    class_weights: Literal["none", "balanced"] = "none"
    packing: bool = False

    @property
    def own_code(self) -> bool:
        """Whether the model is `package.module:function`."""
        return ":" in self.model

    @model_validator(mode="after")
    def _applies(self) -> Self:
        for name, objectives in _ONLY.items():
            given = getattr(self, name) != type(self).model_fields[name].default
            if given and self.objective not in objectives:
                raise ValueError(f"`{name}` goes with {', '.join(objectives)} only; leave it out")
        if self.head and not self.own_code:
            raise ValueError("`head` goes with a model that is code; leave it out")
        if self.own_code and self.pooling not in ("auto", "model"):
            raise ValueError("a model that is code does its own pooling; leave it out")
        return self
