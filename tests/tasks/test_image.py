from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as peer

from autolora.errors import BadValue, NoHead, NoSuchModel, NotAnImage, TooFewExamples, UnknownKey
from autolora.tasks.image import Call, task
from autolora.training.evaluate import answered, values

pytestmark = pytest.mark.usefixtures("digits_file", "weights_file")


def options(**changes: Any) -> dict[str, Any]:
    splits = {"train": 50, "valid": 30, "test": 40}
    return {
        "model": "mobilenet_v2",
        "data": {"path": "digits", "splits": splits | changes.pop("splits", {})},
        "image_size": 32,
    } | changes


@pytest.fixture(scope="module")
def small():
    return task(options())


def test_resizing_is_that_of_torchvision():
    found = task(options(image_size=48)).splits["train"].pixels[:20]
    raw = task(options(image_size=28)).splits["train"].pixels[:20]
    theirs = peer.resize(raw, [48, 48], antialias=True).int()
    assert found.shape == (20, 1, 48, 48)
    assert (found.int() - theirs).abs().max() <= 1


def test_inputs_are_normalised_as_torchvision_does(small):
    pixels = small.splits["train"].pixels[:4]
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    theirs = peer.normalize(
        peer.to_dtype(pixels, torch.float32, scale=True).expand(-1, 3, -1, -1), mean, std
    )
    ours = Call(tuple(mean), tuple(std)).inputs(pixels)
    torch.testing.assert_close(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_batches_are_one_pass_in_stored_order_or_shuffled_by_a_seed(small):
    stored = [batch.targets for batch in small.batches("train", batch_size=16)]
    assert [len(labels) for labels in stored] == [16, 16, 16, 2]
    one, same, other = (
        torch.cat([batch.targets for batch in small.batches("train", batch_size=16, seed=seed)])
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.bincount(one).tolist() == [5] * 10


def test_splits_share_no_image(small):
    seen = [
        image.numpy().tobytes()
        for split in ("train", "valid", "test")
        for batch in small.batches(split, batch_size=50)
        for image in batch.inputs
    ]
    assert len(set(seen)) == len(seen) == 120
    assert [small.examples(s) for s in ("train", "valid", "test")] == [50, 30, 40]


def test_the_loss_of_a_split_agrees_with_that_of_a_batch(small):
    model = small.model()
    found = values(small.metrics, answered(model, small, "valid", final=True))
    assert set(found) == {"loss", "accuracy", "f1_score"}
    batch = next(iter(small.batches("valid", batch_size=30)))
    with torch.no_grad():
        loss = small.loss(model.eval(), batch)
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_balanced_weights_make_every_class_count_the_same():
    balanced = task(options(class_weights="balanced", splits={"train": 43}))
    every = next(iter(balanced.batches("train", batch_size=50)))
    counts = torch.zeros(10).index_add(0, every.targets, every.weights)
    torch.testing.assert_close(counts, torch.full((10,), 4.3))
    valid = next(iter(balanced.batches("valid", batch_size=30)))
    assert valid.weights.unique().tolist() == [1.0]


def test_training_images_are_changed_by_the_seed_and_others_never():
    changed = task(options(augment={"rotate": 20, "crop": 0.6}))
    plain = task(options())
    one, same, other = (
        next(iter(changed.batches("train", batch_size=50, seed=seed))) for seed in (0, 0, 1)
    )
    assert torch.equal(one.inputs, same.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert not torch.equal(one.inputs, plain.splits["train"].pixels[one.examples])
    assert torch.equal(one.targets, plain.splits["train"].targets[one.examples])
    for split in ("valid", "test"):
        batch, as_is = (next(iter(t.batches(split, batch_size=9))) for t in (changed, plain))
        assert torch.equal(batch.inputs, as_is.inputs)


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
        (options(image_size=8), BadValue, "16"),
        (options(splits={"train": 0}), BadValue, "train"),
        (options(splits={"train": 5000}), TooFewExamples, "5070"),
        (options(model="torchvision/resnet81"), NoSuchModel, "resnet18"),
        (options(head="classifier.7"), NoHead, r"classifier\.1"),
    ],
)
def test_what_cannot_be_is_one_sentence(given, error, message):
    with pytest.raises(error, match=message) as raised:
        task(given)
    assert "\n" not in str(raised.value)


def test_stored_images_are_not_changed_by_use(small):
    before = small.splits["train"].pixels.clone()
    for batch in small.batches("train", batch_size=50):
        batch.inputs.zero_()
    assert torch.equal(before, small.splits["train"].pixels)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes in folders, of several forms: grey, coloured, transparent, with a palette."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for number in range(24):
        kind = ("bright", "dark")[number % 2]
        (folder / kind).mkdir(exist_ok=True)
        low, high = ((128, 256), (0, 128))[number % 2]
        pixels = generator.integers(low, high, (30 + number, 40, 4), dtype=np.uint8)
        image = Image.fromarray(pixels if number % 4 < 2 else pixels[..., :3])
        image = image.convert(("RGBA", "RGB", "P", "L")[number % 4])
        image.save(folder / kind / f"bild {number} ä.png")
    return folder


def of_photographs(folder, **changes):
    splits = {"train": 12, "valid": 6, "test": 6}
    data = {"path": str(folder), "splits": splits}
    return options(data=data, **changes)


def test_a_folder_of_classes_is_read(photographs):
    found = task(of_photographs(photographs, fit="crop"))
    batch = next(iter(found.batches("train", batch_size=12)))
    assert batch.inputs.shape == (12, 3, 32, 32)
    assert torch.bincount(batch.targets).tolist() == [6, 6]
    assert found.model().classifier[1].out_features == 2


def test_an_image_that_cannot_be_read_is_named_with_its_row(photographs, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(photographs, folder)
    broken = sorted((folder / "dark").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(NotAnImage, match=r"bild .* cannot be read as an image"):
        task(of_photographs(folder))


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "convnext_tiny"])
def test_networks_of_torchvision_get_a_new_head(photographs, tmp_path, name):
    from torchvision.models import get_model

    weights = tmp_path / "weights.pth"
    torch.save(get_model(name).state_dict(), weights)
    side = 224 if name.startswith("vit") else 32
    found = task(
        of_photographs(
            photographs, model=f"torchvision/{name}", weights=str(weights), image_size=side
        )
    )
    batch = next(iter(found.batches("train", batch_size=2)))
    model = found.model()
    assert found.loss(model, batch).isfinite()
    assert [model.get_submodule(name).out_features for name in found.head] == [2]
    torch.manual_seed(0)
    one = found.model().state_dict()
    torch.manual_seed(0)
    assert all(torch.equal(w, one[n]) for n, w in found.model().state_dict().items())


def test_a_folder_of_transformers_is_a_model(photographs, tmp_path):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, num_labels=7,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor(image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(tmp_path)
    found = task(of_photographs(photographs, model=str(tmp_path)))
    assert found.head == ("classifier",)
    assert found.call.mean == (0.5, 0.5, 0.5)
    batch = next(iter(found.batches("train", batch_size=2)))
    assert found.loss(found.model(), batch).isfinite()


def test_pixels_are_classified(photographs, tmp_path):
    from PIL import Image
    from torchvision.models import get_model

    name = "lraspp_mobilenet_v3_large"
    state = get_model(name, weights=None, weights_backbone=None).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    rows = ["image,mask"]
    for number, image in enumerate(sorted(photographs.rglob("*.png"))):
        mask = np.zeros((40, 30), dtype=np.uint8)
        mask[: number + 3] = 1 + number % 2
        mask[-1] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}.png")
        rows.append(f"{image},{number}.png")
    (tmp_path / "masks.csv").write_text("\n".join(rows))
    given = of_photographs(
        tmp_path / "masks.csv",
        objective="segmentation",
        model=f"torchvision/{name}",
        weights=str(tmp_path / "weights.pth"),
        image_size=64,
        augment={"flip": 0.5, "rotate": 10},
    )
    found = task(given)
    assert sorted(found.head) == ["classifier.high_classifier", "classifier.low_classifier"]
    batch = next(iter(found.batches("train", batch_size=4, seed=0)))
    assert batch.targets.shape == (4, 64, 64)
    assert found.loss(found.model(), batch).isfinite()
    measured = values(found.metrics, answered(found.model(), found, "test", final=True))
    assert 0 <= measured["mean_iou"] <= 1


def test_several_labels_an_image(photographs, tmp_path):
    rows = ["image,label"]
    for number, image in enumerate(sorted(photographs.rglob("*.png"))):
        rows.append(f"{image},{('a', 'a|b', 'b', 'a|b|c')[number % 4]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    found = task(of_photographs(tmp_path / "labels.csv", objective="multi_label"))
    batch = next(iter(found.batches("train", batch_size=12)))
    assert batch.targets.shape == (12, 3)
    assert found.loss(found.model(), batch).isfinite()
