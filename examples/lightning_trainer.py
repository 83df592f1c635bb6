"""lightning's Trainer as it comes: Resemblyzer's speech model tells high tones from low ones."""

import math

import lightning
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import autolora
from autolora.data.models import build


class Speech(lightning.LightningModule):
    """Attach where the model is made, so that a checkpoint finds the same keys."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = build("resemblyzer").train()
        self.head = torch.nn.Linear(256, 2)
        chosen = autolora.select(autolora.targets(self.encoder), ["lstm.*"])
        self.adapter = autolora.attach(self.encoder, autolora.Allocation.uniform(chosen, 2))
        self.losses: list[float] = []

    def training_step(self, batch: list[Tensor]) -> Tensor:
        spectra, labels = batch
        loss = cross_entropy(self.head(self.encoder(spectra)), labels)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [*self.adapter.parameters(), *self.head.parameters()]
        return torch.optim.AdamW(trained, lr=5e-3)


def tones() -> TensorDataset:
    """Power in one of the lower or of the upper of 40 bands, over 30 frames."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(128) % 2
    bands = torch.randint(0, 20, (128,), generator=generator) + 20 * labels
    spectra = torch.rand(128, 30, 40, generator=generator) * math.exp(-3)
    spectra[torch.arange(128), :, bands] += 1.0
    return TensorDataset(spectra, labels)


def main(epochs: int = 4) -> float:
    """Trains; gives the mean loss of the last epoch, in nats."""
    torch.manual_seed(0)
    module = Speech()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(tones(), batch_size=16, shuffle=True))
    last = module.losses[-8:]
    loss = sum(last) / len(last)
    print(f"loss {module.losses[0]:.3f} at first, {loss:.3f} at last")
    return loss


if __name__ == "__main__":
    main()
