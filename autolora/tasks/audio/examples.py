"""Recordings of a split with what is asked of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from autolora.data.sound.clips import Clips
from autolora.data.sound.network import Heard
from autolora.data.sound.tokens import Tokens
from autolora.objectives import ctc, transcription
from autolora.training.batch import Batch


@dataclass(frozen=True)
class Recordings:
    """Recordings side by side, with a class, letters or tokens each.

    Attributes:
        clips: What is heard.
        targets: What is asked, padded to the longest of the split where it is a text.
        weights: How much each recording counts.
        said: What was said before each target, for a model that writes tokens.
        widths: How long the target of each is, where it is a text.

    Shapes: targets (recordings,) or (recordings, longest text); weights, widths (recordings,);
    said as targets.
    """

    clips: Clips
    targets: Tensor
    weights: Tensor
    said: Tensor | None = None
    widths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> Tensor | None:
        """Of the texts. Recordings with a class stay in random order.

        Short digits are sixes: in batches by length, a model met one class after the other and
        learnt less (75.8 % against 79.4 % of spoken digits, at equal rates and steps).
        """
        return self.widths

    def batch(self, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """Some of them, padded to the longest of them."""
        del augment
        longest = None if self.widths is None else int(self.widths[indices].max())
        said = None if self.said is None else self.said[indices, :longest]
        targets = self.targets[indices]
        heard = Heard(self.clips.padded(indices), self.clips.lengths[indices], said)
        return Batch(
            heard,
            targets if longest is None else targets[:, :longest],
            indices,
            self.weights[indices],
            self._steps(indices),
        )

    def _steps(self, indices: Tensor) -> Tensor | None:
        """How much of what is padded in a batch is none: tokens, or else frames."""
        if self.said is not None and self.widths is not None:
            return self.widths[indices]
        return None if self.clips.window else self.clips.lengths[indices]


def spelt(clips: Clips, texts: Sequence[Sequence[int]]) -> Recordings:
    """Recordings with the numbers of their letters."""
    widths = torch.tensor([len(text) for text in texts])
    return Recordings(clips, _padded(texts, ctc.PADDING), widths.float(), widths=widths)


def told(clips: Clips, texts: Sequence[Sequence[int]], tokens: Tokens) -> Recordings:
    """Recordings with their tokens: of each sequence the last is asked, the prompt is not."""
    prompt = list(tokens.prompt)
    said = [[*prompt, *text[:-1]] for text in texts]
    asked = [[transcription.PADDING] * (len(prompt) - 1) + list(text) for text in texts]
    return Recordings(
        clips,
        _padded(asked, transcription.PADDING),
        torch.tensor([float(len(text)) for text in texts]),
        _padded(said, tokens.end),
        torch.tensor([len(each) for each in said]),
    )


def _padded(rows: Sequence[Sequence[int]], padding: int) -> Tensor:
    return pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=padding
    )
