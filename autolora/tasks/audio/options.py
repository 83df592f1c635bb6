"""The `task` block of a study of recordings, without its type."""

from typing import Literal, Self

from pydantic import Field, model_validator

from autolora.data.options import DataOptions
from autolora.data.sound.clips import TooLong
from autolora.data.sound.letters import Case, Punctuation
from autolora.data.sound.waveforms import PREFIX
from autolora.space.read import Strict

Heard = Literal["waveform", "mel", "log_mel", "mfcc"]


class FeatureOptions(Strict):
    """What a model of the user's own hears: a waveform, or a number of bands every 10 ms."""

    kind: Heard
    bands: int = Field(default=40, ge=1, le=512)
    rate: int = Field(default=16_000, ge=1000, le=192_000)


class AudioOptions(Strict):
    """What is heard, by which model, and what is asked of it.

    Attributes:
        model: `resemblyzer`, `whisper_tiny_en`, `torchaudio:NAME`, a folder or hub id of
            transformers, or `package.module:function`.
        data: Where the recordings are; roles audio, with label or transcript, and group.
        objective: A class for each recording, letters frame by frame, or tokens one by one.
        weights: The file of a `torchaudio:` model's weights.
        features: What a model of the user's own hears.
        head: The modules of a model of the user's own that are new.
        seconds: The longest recording; for Whisper its window.
        too_long: What becomes of a longer one.
        vocabulary: The letters of CTC: those of the transcripts, or those of the model.
        case: How transcripts are written.
        punctuation: Whether they keep it.
        language: What a Whisper of many languages is told.
        generate: When texts are written token by token, which is dear.
        class_weights: Whether rare classes count as much as others.
        metrics: What is measured beside the loss.
    """

    model: str
    data: DataOptions
    objective: Literal["classification", "ctc", "transcription"] = "classification"
    weights: str | None = None
    features: FeatureOptions | None = None
    head: tuple[str, ...] = ()
    seconds: int | None = Field(default=None, ge=1)
    too_long: TooLong = "refuse"
    vocabulary: Literal["train", "model"] = "train"
    case: Case = "as_written"
    punctuation: Punctuation = "kept"
    language: str | None = None
    generate: Literal["final", "always"] = "final"
    class_weights: Literal["none", "balanced"] = "none"
    metrics: tuple[str, ...] | None = None

    @property
    def is_code(self) -> bool:
        """Whether the model is a function of the user's own."""
        return ":" in self.model and not self.model.startswith(PREFIX)

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics by name."""
        if self.metrics is not None:
            return self.metrics
        classes = self.objective == "classification"
        return ("accuracy", "f1_score") if classes else ("word_error_rate", "char_error_rate")

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        if self.model.startswith(PREFIX) != (self.weights is not None):
            raise ValueError(f"`weights` goes with a model `{PREFIX}NAME`, and only with it")
        if self.is_code != (self.features is not None):
            raise ValueError(
                "`features` goes with a model `package.module:function`, and only with it"
            )
        if self.head and not self.is_code:
            raise ValueError("`head` goes with a model `package.module:function`, and only with it")
        return self

    @model_validator(mode="after")
    def _fits_the_objective(self) -> Self:
        if self.too_long == "cut" and self.objective != "classification":
            raise ValueError("a recording that is cut no longer says its transcript; drop it")
        if self.class_weights != "none" and self.objective != "classification":
            raise ValueError("`class_weights` goes with the objective classification")
        if self.vocabulary == "model" and self.objective != "ctc":
            raise ValueError("`vocabulary` goes with the objective ctc")
        return self
