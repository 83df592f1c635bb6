"""What each of two processes does; its findings are a file.

One of them is `python two_processes.py JOB RANK FOLDER`.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from autolora.lora import Attached, attach, attached, disabled
from autolora.testing.stage import randomise

RANKS = {
    "look_up.weight": 2,
    "encoder.self_attn.in_proj_weight[query]": 2,
    "encoder.self_attn.in_proj_weight[value]": 1,
    "encoder.self_attn.out_proj.weight": 2,
    "encoder.linear1.weight": 2,
    "convolve.weight": 2,
    "recur.weight_ih_l0[cell]": 1,
    "head.weight": 2,
}
STEPS = 4
TOKENS = torch.randint(10, (4, 5), generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 3, 1, 2])


class Network(nn.Module):
    """One layer of each family, with a clone after the last split one as FSDP2 asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.look_up = nn.Embedding(10, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.convolve = nn.Conv1d(8, 6, 3, padding=1)
        self.recur = nn.LSTM(6, 6, batch_first=True)
        self.head = nn.Linear(6, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.convolve(self.encoder(self.look_up(tokens)).mT).mT
        scores: Tensor = self.head(self.recur(x)[0].clone().mean(1))
        return scores


def network() -> nn.Module:
    """The same weights at every call."""
    torch.manual_seed(0)
    return Network().double()


def adapted(without: str = "none") -> tuple[nn.Module, Attached]:
    """With random factors, the same in every process; a layer may be left out."""
    model = network()
    ranks = {name: rank for name, rank in RANKS.items() if not name.startswith(without)}
    return model, randomise(attach(model, ranks))


def train(model: nn.Module, adapter: Attached, batch: slice) -> list[float]:
    """A few steps on a part of the four samples; the losses."""
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=0.01)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(TOKENS[batch]), LABELS[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def replicated(rank: int) -> dict[str, Any]:
    """DistributedDataParallel, as it comes."""
    model, adapter = adapted()
    losses = train(DistributedDataParallel(model), adapter, _half(rank))
    return {"losses": losses, "state": model.state_dict()}


def sharded(rank: int, without: str = "recur") -> dict[str, Any]:
    """FSDP2: attach, shard, train."""
    model, adapter = adapted(without)
    _shard(model)
    kinds = {type(p) for p in (*model.parameters(), *adapter.parameters())}
    losses = train(model, adapter, _half(rank))
    options = StateDictOptions(full_state_dict=True)
    state = get_model_state_dict(model, options=options)
    answer = model(TOKENS).detach()
    with torch.no_grad():
        for factor in adapter.parameters():
            factor.zero_()
    base = model(TOKENS).detach()
    with disabled(model):
        model.load_state_dict(_scattered(model, state))
    again = model(TOKENS).detach()
    return {
        "losses": losses,
        "state": state,
        "sharded": kinds == {DTensor},
        "answers": [answer, base, again],
    }


def sharded_recurrent(rank: int) -> dict[str, Any]:
    """The same with a recurrent layer adapted, too."""
    return sharded(rank, without="none")


def sharded_disabled(rank: int) -> dict[str, Any]:
    """FSDP2: the first answer is the base's; the adapter answers afterwards."""
    model, _ = adapted()
    _shard(model)
    with disabled(model):
        base = model(TOKENS).detach()
    return {"answers": [base, model(TOKENS).detach()]}


def sharded_loaded(rank: int) -> dict[str, Any]:
    """FSDP2: weights loaded while the adapted weights are there."""
    model, adapter = adapted()
    _shard(model)
    train(model, adapter, _half(rank))
    return {"error": _error(lambda: model.load_state_dict(model.state_dict()))}


def sharded_before(rank: int) -> dict[str, Any]:
    """An adapter on a model that is split already."""
    model = network()
    _shard(model)
    return {"error": _error(lambda: train(model, attach(model, RANKS), _half(rank)))}


def sharded_and_run_before(rank: int) -> dict[str, Any]:
    """An adapter on a model that is split already and gathered for its first call."""
    model = network()
    _shard(model)
    model(TOKENS)
    ranks = {"head.weight": 2}  # of the root, which stays gathered after a call
    return {"error": _error(lambda: train(model, attach(model, ranks), _half(rank)))}


def replicated_before(rank: int) -> dict[str, Any]:
    """An adapter on a model that has its replicas already, which know nothing of it."""
    replica = DistributedDataParallel(network())
    ranks = {f"module.{name}": rank for name, rank in RANKS.items()}
    return {"error": _error(lambda: train(replica, attach(replica, ranks), _half(rank)))}


def answer_elsewhere(model: nn.Module, file: Path) -> None:
    """What a model that was sent here answers."""
    torch.save(model(TOKENS).detach(), file)


def train_elsewhere(model: nn.Module, file: Path) -> None:
    """Trains a model that lies in memory shared with another process."""
    torch.save(train(model, attached(model), slice(0, 4)), file)


JOBS: dict[str, Callable[[int], dict[str, Any]]] = {
    job.__name__: job
    for job in (
        replicated,
        replicated_before,
        sharded,
        sharded_recurrent,
        sharded_disabled,
        sharded_loaded,
        sharded_before,
        sharded_and_run_before,
    )
}


def _half(rank: int) -> slice:
    return slice(2 * rank, 2 * rank + 2)


def _shard(model: nn.Module) -> None:
    for layer in (model.encoder, model.recur):
        fully_shard(layer)
    fully_shard(model)


def _scattered(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Any]:
    own = model.state_dict()
    return {
        name: distribute_tensor(value, own[name].device_mesh, own[name].placements)
        for name, value in state.items()
    }


def _error(action: Callable[[], Any]) -> str:
    try:
        action()
    except Exception as error:  # whatever it is, the test reads it
        return f"{type(error).__name__}: {error}"
    return ""


def main(job: str, rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    try:
        torch.save(JOBS[job](rank), folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
