from typing import Any

import pytest
import torch
from torchvision.transforms.v2 import functional as peer

from autolora.data.digits import digits
from autolora.data.models import MODELS
from autolora.errors import BadValue, TooFewExamples, UnknownKey
from autolora.tasks.image import DATA, inputs, task
from autolora.training.evaluate import per_example

pytestmark = pytest.mark.usefixtures("digits_file", "weights_file")


def options(**changes: Any) -> dict[str, Any]:
    splits = {"train": 50, "valid": 30, "test": 40}
    return {
        "model": "mobilenet_v2",
        "data": "digits",
        "image_size": 32,
        "splits": splits | changes.pop("splits", {}),
    } | changes


@pytest.fixture(scope="module")
def small():
    return task(options())


def test_the_data_are_the_digits():
    images = digits(32)
    assert images.pixels.shape == (5000, 1, 32, 32)
    assert images.pixels.dtype == torch.uint8
    assert torch.bincount(images.labels).tolist() == [500] * 10
    assert images.pixels.amax() == 255


def test_resizing_is_that_of_torchvision():
    images = digits(48)
    small = torch.from_numpy(images.contents[:20].reshape(20, 1, 28, 28).copy())
    theirs = peer.resize(small, [48, 48], antialias=True).int()
    assert (images.pixels[:20].int() - theirs).abs().max() <= 1


def test_inputs_are_normalised_as_torchvision_does():
    pixels = digits(32).pixels[:4]
    theirs = peer.normalize(
        peer.to_dtype(pixels, torch.float32, scale=True).expand(-1, 3, -1, -1),
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
    )
    torch.testing.assert_close(inputs(pixels), theirs)
    assert inputs(pixels).is_contiguous(memory_format=torch.channels_last)


def test_batches_are_one_pass_in_stored_order_or_shuffled_by_a_seed(small):
    stored = [labels for _, labels in small.batches("train", batch_size=16)]
    assert [len(labels) for labels in stored] == [16, 16, 16, 2]
    one, same, other = (
        torch.cat([labels for _, labels in small.batches("train", batch_size=16, seed=seed)])
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.bincount(one), torch.bincount(torch.cat(stored)))
    assert torch.bincount(one).tolist() == [5] * 10


def test_splits_share_no_image(small):
    seen = [
        image.numpy().tobytes()
        for split in ("train", "valid", "test")
        for images, _ in small.batches(split, batch_size=50)
        for image in images
    ]
    assert len(set(seen)) == len(seen) == 120
    assert [small.examples(s) for s in ("train", "valid", "test")] == [50, 30, 40]


def test_metrics_of_every_example_agree_with_the_loss_of_a_batch(small):
    model = small.model()
    values = per_example(model, small, "valid")
    assert {name: tuple(v.shape) for name, v in values.items()} == {
        "loss": (30,),
        "accuracy": (30,),
    }
    assert set(values["accuracy"].tolist()) <= {0.0, 1.0}
    batch = next(iter(small.batches("valid", batch_size=30)))
    with torch.no_grad():
        loss = small.loss(model.eval(), batch)
    torch.testing.assert_close(values["loss"].mean(), loss)


def test_a_fingerprint_is_equal_when_a_result_may_be_reused(small):
    assert task(options()).fingerprint() == small.fingerprint()
    for other in (
        options(image_size=40),
        options(splits={"seed": 1}),
        options(splits={"test": 41}),
    ):
        assert task(other).fingerprint() != small.fingerprint()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (options(image_siz=48), UnknownKey, "image_size"),
        (options(splits={"vaild": 3}), UnknownKey, "valid"),
        (options(data="digit"), BadValue, "digits"),
        (options(image_size=8), BadValue, "32"),
        (options(splits={"train": 0}), BadValue, "train"),
        ({"model": "mobilenet_v2", "data": "digits"}, BadValue, "splits"),
        (options(splits={"train": 5000}), TooFewExamples, "5070"),
    ],
)
def test_what_cannot_be_is_one_sentence(given, error, message):
    with pytest.raises(error, match=message):
        task(given)


def test_options_offer_models_that_exist_and_every_data_set():
    from autolora.tasks.image import ImageOptions

    assert set(MODELS) >= set(ImageOptions.model_fields["model"].annotation.__args__)
    assert set(DATA) == set(ImageOptions.model_fields["data"].annotation.__args__)


def test_stored_images_are_not_changed_by_use(small):
    before = small.images.pixels.clone()
    for images, _ in small.batches("train", batch_size=50):
        images.zero_()
    assert torch.equal(before, small.images.pixels)
