"""Letters frame by frame, wherever they stand: connectionist temporal classification."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from autolora.data.sound.letters import Letters
from autolora.training.batch import Batch

PADDING = -1  # of targets

ANSWERS = "texts"


@dataclass(frozen=True)
class Ctc:
    """The loss over all ways to write a text in the frames, a mean over its letters.

    Shapes: outputs are scores (batch, frames, letters) with the frames that count (batch,);
    targets (batch, longest text) of int64, -1 after the end.
    Source: Graves et al. 2006, equation 8.
    """

    letters: Letters

    def losses(self, output: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
        """In nats a letter; 0 where the frames are too few for the text."""
        scores, frames = output
        counts = (targets != PADDING).sum(1)
        losses = F.ctc_loss(
            scores.float().log_softmax(-1).transpose(0, 1),
            targets.clamp_min(0),
            frames,
            counts,
            blank=self.letters.blank,
            reduction="none",
            zero_infinity=True,
        )
        return losses / counts

    def answered(
        self, model: nn.Module, output: tuple[Tensor, Tensor], batch: Batch, *, final: bool
    ) -> tuple[list[str], list[str]]:
        """The text of the best letter of every frame, and the transcript."""
        del model, final
        scores, frames = output
        best = scores.argmax(-1).cpu()
        predicted = [
            self.letters.decoded(row[:count])
            for row, count in zip(best, frames.tolist(), strict=True)
        ]
        return predicted, [self.letters.spelt(row) for row in batch.targets.tolist()]


def objective(letters: Letters) -> Ctc:
    """The objective of letters."""
    return Ctc(letters)
