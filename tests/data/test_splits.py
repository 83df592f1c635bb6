import numpy as np
import pytest

from autolora.data.splits import Pool, deal, split
from autolora.errors import TooFewExamples

SIZES = {"train": 40, "valid": 25, "test": 35}


def data(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(len(counts)), counts)
    contents = np.arange(len(labels), dtype=np.uint32).view(np.uint8).reshape(len(labels), 4)
    return np.random.default_rng(0).permutation(labels), contents


@pytest.mark.parametrize("counts", [[50, 50], [97, 3], [10] * 10, [1, 30, 69], [100, 20]])
@pytest.mark.parametrize("seed", range(3))
def test_splits_are_exact_disjoint_and_stratified(counts, seed):
    labels, contents = data(counts)
    sets = split(labels, contents, SIZES, seed)
    assert {name: len(indices) for name, indices in sets.items()} == SIZES
    everything = np.concatenate(list(sets.values()))
    assert len(np.unique(everything)) == len(everything)
    for name, indices in sets.items():
        shares = np.array(counts) * SIZES[name] / sum(counts)
        assert np.all(np.abs(np.bincount(labels[indices], minlength=len(counts)) - shares) < 2)


def test_a_seed_decides():
    labels, contents = data([50, 50])
    one, same, other = (split(labels, contents, SIZES, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], same[name]) for name in SIZES)
    assert not np.array_equal(np.sort(one["train"]), np.sort(other["train"]))


def test_all_examples_can_be_dealt():
    labels, contents = data([64, 36])
    sets = split(labels, contents, SIZES, 0)
    assert sorted(np.concatenate(list(sets.values()))) == list(range(100))


def test_copies_of_an_example_are_never_used_twice():
    labels, contents = data([50, 50])
    contents[1::2] = contents[::2]
    sets = split(labels, contents, {"train": 30, "test": 20}, 0)
    dealt = [contents[i].tobytes() for indices in sets.values() for i in indices]
    assert len(set(dealt)) == len(dealt) == 50
    with pytest.raises(TooFewExamples, match=r"31 train \+ 20 test examples need 51.* 50 distinct"):
        split(labels, contents, {"train": 31, "test": 20}, 0)


def test_order_within_a_split_mixes_the_classes():
    labels, contents = data([50, 50])
    first = labels[split(labels, contents, SIZES, 0)["train"]][:20]
    assert 0 < first.sum() < 20


def grouped(groups: np.ndarray, labels: np.ndarray, sizes: dict) -> dict[str, np.ndarray]:
    contents = [str(i).encode() for i in range(len(labels))]
    dealt = deal(Pool(labels.tolist(), contents, list(map(str, groups))), sizes, seed=0)
    held = [set(groups[indices]) for indices in dealt.values()]
    assert len(set.union(*held)) == sum(map(len, held))
    return dealt


@pytest.mark.parametrize(
    ("sizes", "speakers"),
    [
        ((1500, 500, 1000), (3, 1, 2)),
        ((1000, 300, 300), (4, 1, 1)),
        ((500, 500, 2000), (1, 1, 4)),
        ((2000, 100, 500), (4, 1, 1)),
    ],
)
def test_few_large_groups_fill_the_splits_exactly(sizes, speakers):
    groups, labels = np.repeat(np.arange(6), 500), np.tile(np.arange(10), 300)
    dealt = grouped(groups, labels, dict(zip(SIZES, sizes, strict=True)))
    assert tuple(len(indices) for indices in dealt.values()) == sizes
    assert tuple(len(set(groups[indices])) for indices in dealt.values()) == speakers
    for indices in dealt.values():
        assert np.ptp(np.bincount(labels[indices])) == 0


def test_groups_of_any_size_keep_the_classes_in_proportion():
    generator = np.random.default_rng(0)
    groups = generator.zipf(1.5, 5000) % 300
    labels = (generator.random(300) < 0.3)[groups].astype(int)  # one class a group
    dealt = grouped(groups, labels, {"train": None, "valid": 0.15, "test": 0.15})
    for name, share in (("train", 0.7), ("valid", 0.15), ("test", 0.15)):
        assert len(dealt[name]) == pytest.approx(share * 5000, rel=0.02)
        assert labels[dealt[name]].mean() == pytest.approx(labels.mean(), abs=0.01)
