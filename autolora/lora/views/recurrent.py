"""Recurrent layers and their cells: each gate is a block of rows."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from autolora.lora.example import Example
from autolora.lora.views import Block

LAYERS = (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell)

_GATES: dict[type[nn.Module], tuple[str | None, ...]] = {
    nn.LSTM: ("input", "forget", "cell", "output"),
    nn.LSTMCell: ("input", "forget", "cell", "output"),
    nn.GRU: ("reset", "update", "new"),
    nn.GRUCell: ("reset", "update", "new"),
}
_KINDS = {"ih": "input_to_hidden", "hh": "hidden_to_hidden", "hr": "projection"}


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """One block a gate, in torch's order; a plain RNN and a projection have one."""
    known = re.fullmatch(r"weight_(ih|hh|hr)(_l\d+(_reverse)?)?", parameter)
    if known is None:
        return ()
    kind = _KINDS[known[1]]
    gates = next((g for cls, g in _GATES.items() if isinstance(layer, cls)), (None,))
    if kind == "projection":
        gates = (None,)
    value = layer._parameters[parameter]
    assert value is not None
    size = len(value) // len(gates)
    return tuple(Block(gate, kind, i * size, size) for i, gate in enumerate(gates))


class Stepped(nn.Module):
    """A cell stepped over a sequence, from a state that is not zero."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """The last hidden state."""
        state: Any = (hidden, hidden) if isinstance(self.cell, nn.LSTMCell) else hidden
        for step in x:
            state = self.cell(step, state)
        last: Tensor = state[0] if isinstance(state, tuple) else state
        return last


class Packed(nn.Module):
    """A recurrent layer over sequences of different lengths."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The states, zero after each end."""
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out: Tensor = pad_packed_sequence(self.layer(packed)[0], batch_first=True)[0]
        return out


def _packed(name: str, layer: Callable[[], nn.Module]) -> Example:
    lengths = (4, 6, 1)
    return Example(
        name, lambda: Packed(layer()), lambda: (torch.randn(3, 6, 5), torch.tensor(lengths))
    )


def _cell(name: str, cell: Callable[[], nn.Module]) -> Example:
    return Example(name, lambda: Stepped(cell()), lambda: (torch.randn(3, 2, 5), torch.randn(2, 4)))


def _layer(name: str, layer: Callable[[], nn.Module]) -> Example:
    return Example(name, layer, lambda: (torch.randn(6, 2, 5),))


EXAMPLES = (
    _layer("rnn", lambda: nn.RNN(5, 4, nonlinearity="tanh")),
    _layer("gru", lambda: nn.GRU(5, 4, num_layers=2, bidirectional=True)),
    _layer("lstm", lambda: nn.LSTM(5, 4, num_layers=2, bidirectional=True)),
    _layer("lstm_projected", lambda: nn.LSTM(5, 6, proj_size=4, bias=False)),
    _layer("rnn_relu", lambda: nn.RNN(5, 8, nonlinearity="relu", bidirectional=True)),
    _layer("lstm_both_ways_projected", lambda: nn.LSTM(5, 6, 2, proj_size=3, bidirectional=True)),
    _packed("lstm_packed", lambda: nn.LSTM(5, 4, batch_first=True)),
    _packed("gru_packed", lambda: nn.GRU(5, 4, bidirectional=True, batch_first=True)),
    _cell("rnn_cell", lambda: nn.RNNCell(5, 4)),
    _cell("gru_cell", lambda: nn.GRUCell(5, 4)),
    _cell("lstm_cell", lambda: nn.LSTMCell(5, 4)),
)
