"""Resemblyzer's speaker encoder in plain torch: from a mel spectrogram to a voice."""

import copy
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from autolora.data.assets import fetch


class VoiceEncoder(nn.Module):
    """An LSTM of three layers whose last state becomes a vector of length 1.

    Source: Wan et al. 2018, section 2; the keys are those of Resemblyzer's checkpoint.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, num_layers=3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: Tensor) -> Tensor:
        """One vector for each recording.

        Shapes: mel (batch, frames, 40), the power in mel bands of 25 ms every 10 ms at 16 kHz,
        not its logarithm; result (batch, 256).
        """
        _, (hidden, _) = self.lstm(mel)
        return normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def resemblyzer() -> nn.Module:
    """The speaker encoder with its published weights, in evaluation mode; 1.4 M parameters."""
    return copy.deepcopy(_pristine())


@cache
def _pristine() -> nn.Module:
    """The base of this process; built without drawing a single random number."""
    saved = torch.load(fetch("resemblyzer"), map_location="cpu", weights_only=True)["model_state"]
    with torch.device("meta"):
        model = VoiceEncoder()
    # The rest of the checkpoint scales similarities in training and plays no part here.
    weights = {name: saved[name] for name in model.state_dict()}
    model.load_state_dict(weights, strict=True, assign=True)
    return model.eval()
