"""The `training` block of a study: what every one of its trials has in common."""

from typing import Literal

from pydantic import Field, model_validator

from autolora.space.read import Strict


class TrainingSettings(Strict):
    """How long and how a trial trains; rates and scales belong to what is searched.

    Units: `warmup` is a share of the steps; `evaluations` of the validation split are spread
    evenly over the run, the last at its end. `precision` "auto" is bf16 on CUDA and float32
    elsewhere; `device` "auto" is CUDA where there is one. `accumulate` divides each batch of
    `batch_size` examples into so many smaller ones whose gradients are added. `patience` ends a run
    after so many evaluations without a lower validation loss. `base_dropout` false leaves dropout
    to adapter and head: the frozen base answers as in evaluation. `head_start` "probe" starts every
    trial from the head that is best on the frozen base. `cache_bytes` is what activations below the
    lowest trained layer may take in memory; 0 computes them at every step.

    >>> TrainingSettings(steps=160, evaluations=8).evaluation_steps
    (20, 40, 60, 80, 100, 120, 140, 160)
    """

    steps: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=1)
    warmup: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float | None = Field(default=1.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    base_dropout: bool = True
    accumulate: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    head_start: Literal["random", "probe"] = "random"
    cache_bytes: int = Field(default=0, ge=0)
    evaluations: int = Field(default=8, ge=1)
    precision: Literal["float32", "bf16", "auto"] = "float32"
    device: str = Field(default="cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$")

    @model_validator(mode="after")
    def _evaluations_fit(self) -> "TrainingSettings":
        if self.evaluations > self.steps:
            raise ValueError(
                f"{self.evaluations} evaluations do not fit into {self.steps} steps; "
                "ask for at most one a step"
            )
        return self

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """The steps after which the validation split is measured."""
        n = self.evaluations
        return tuple(self.steps * (i + 1) // n for i in range(n))
