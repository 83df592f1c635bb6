"""A training loop of your own: MobileNetV2 learns handwritten digits with rank-4 deltas."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import autolora
from autolora.data.models import build
from autolora.data.sets.digits import tables


def main(steps: int = 40) -> float:
    """Trains, saves, loads and merges; gives the loss of the last batch, in nats."""
    data = tables()
    images = torch.from_numpy(np.stack(data.columns["image"][::5])).float()[:, None] / 255
    labels = torch.tensor([int(label) for label in data.columns["label"][::5]])
    images = torch.nn.functional.interpolate((images.expand(-1, 3, -1, -1) - 0.45) / 0.225, 48)

    model = build("mobilenet_v2")
    chosen = autolora.select(autolora.targets(model), kinds=["pointwise"])
    adapter = autolora.attach(model, autolora.Allocation.uniform(chosen, 4))
    adapter.also_train("classifier.1")

    optimizer = torch.optim.AdamW(adapter.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    model.eval()  # the statistics of batch normalisation belong to the base
    for step in range(steps):
        batch = torch.randint(len(images), (32,), generator=generator)
        loss = cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 9:
            print(f"step {step + 1}: loss {loss.item():.3f}")

    folder = Path(tempfile.mkdtemp()) / "digits-adapter"
    autolora.save(model, folder)
    fresh = build("mobilenet_v2").eval()
    autolora.load(fresh, folder)
    autolora.merge(fresh)
    assert torch.allclose(fresh(images[:8]), model(images[:8]), atol=1e-3)
    print(f"the adapter is in {folder}, and merged it answers the same")
    return loss.item()


if __name__ == "__main__":
    main()
