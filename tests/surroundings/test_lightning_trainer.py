"""`lightning.Trainer` as it comes: a LightningModule holds an adapted model."""

import copy
from pathlib import Path

import lightning
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autolora.lora import attach, attached
from autolora.testing.stage import close

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:lightning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:lightning"),
]


class Classifier(lightning.LightningModule):
    """Attached where the model is made, so that a checkpoint finds the same keys."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv1d(3, 6, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(48, 2)
        )
        self.adapter = attach(self.model, {"0.weight": 2}).also_train("3")
        self.steps = 0

    def loss(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def training_step(self, batch: list[Tensor]) -> Tensor:
        self.steps += 1
        loss = self.loss(batch)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.adapter.parameters(), lr=1e-2)


def data() -> DataLoader[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(32, 3, 8, generator=generator)
    return DataLoader(TensorDataset(x, (x[:, 0].mean(1) > 0).long()), batch_size=8)


def fit(module: Classifier, folder: Path, epochs: int, resume: Path | None = None) -> Path:
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, data(), ckpt_path=resume)
    trainer.save_checkpoint(folder / f"{epochs}.ckpt")
    return folder / f"{epochs}.ckpt"


def loss(module: Classifier) -> float:
    with torch.no_grad():
        return sum(float(module.loss(batch)) for batch in data())


def test_it_fits_and_the_base_stays(tmp_path: Path) -> None:
    module = Classifier()
    before, start = copy.deepcopy(module.state_dict()), loss(module)
    fit(module, tmp_path, 3)
    assert loss(module) < 0.95 * start
    after = module.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    factors = "model.0.lora.weight.default"
    assert changed == {f"{factors}.up", f"{factors}.down", "model.3.weight", "model.3.bias"}


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    whole, half, again = Classifier(), Classifier(), Classifier()
    fit(whole, tmp_path, 2)
    checkpoint = fit(half, tmp_path, 1)
    fit(again, tmp_path, 2, resume=checkpoint)
    assert (whole.steps, half.steps, again.steps) == (8, 4, 4)
    close(list(again.state_dict().values()), list(whole.state_dict().values()), 1e-6)
    assert attached(again.model).allocation == {"0.weight": 2}


def test_a_checkpoint_opens_in_a_new_module(tmp_path: Path) -> None:
    module = Classifier()
    checkpoint = fit(module, tmp_path, 1)
    twin = Classifier.load_from_checkpoint(checkpoint, weights_only=True)
    assert loss(twin) == pytest.approx(loss(module), rel=1e-6)
