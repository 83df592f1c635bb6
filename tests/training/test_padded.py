import torch

from autolora.training.padded import Padded

ROWS = [torch.tensor([1, 2, 3]), torch.tensor([4]), torch.tensor([5, 6])]


def test_rows_are_padded_at_the_end_to_the_longest_of_their_batch():
    padded = Padded(
        {"ids": ROWS, "mask": [torch.ones_like(row) for row in ROWS]},
        ROWS,
        torch.ones(3),
        {"ids": 9, "targets": -100},
    )
    batch = padded.batch(torch.tensor([2, 1]), None)
    assert batch.inputs["ids"].tolist() == [[5, 6], [4, 9]]
    assert batch.inputs["mask"].tolist() == [[1, 1], [1, 0]]
    assert batch.targets.tolist() == [[5, 6], [4, -100]]
    assert batch.lengths.tolist() == [2, 1]
    assert batch.examples.tolist() == [2, 1]


def test_frames_keep_their_width_and_targets_may_be_one_tensor():
    frames = [torch.ones(length, 4) for length in (3, 1)]
    padded = Padded({"frames": frames}, torch.tensor([7, 8]), torch.tensor([1.0, 2.0]))
    batch = padded.batch(torch.tensor([0, 1]), None)
    assert batch.inputs["frames"].shape == (2, 3, 4)
    assert batch.inputs["frames"][1, 1:].sum() == 0
    assert (batch.targets.tolist(), batch.weights.tolist()) == ([7, 8], [1.0, 2.0])
    assert len(padded) == 2
