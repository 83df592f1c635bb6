import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from autolora.errors import (
    BadValue,
    CodeNotAllowed,
    MissingColumn,
    NoSuchModule,
    TokenizerNeeded,
    TooManyTokens,
    UnknownName,
)
from autolora.lora.targets import targets
from autolora.tasks.text import task
from autolora.training.batch import mean_loss
from autolora.training.evaluate import evaluate
from autolora.training.modes import evaluating

SPLITS = {"train": 40, "valid": 20, "test": 20}


@pytest.fixture
def graded(jsonl, texts):
    """Texts of three classes, of which "good" is rare."""
    rows = [
        {"text": text, "label": ("good", "bad", "bad", "fine", "fine")[i % 5]}
        for i, text in enumerate(texts(80))
    ]
    return {"path": jsonl("graded.jsonl", rows), "splits": SPLITS}


def _rows(data: Any) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(data["path"]).read_text("utf-8").splitlines()]


def described(model: str, data: Any, **changes: Any) -> dict[str, Any]:
    return {"model": model, "data": data, "max_length": 16} | changes


def test_a_model_without_a_head_gets_one_over_the_mean_of_its_states(pretrained, graded):
    made = task(described(pretrained("bert"), graded))
    assert made.head == ("classifier",)
    assert made.classes == 3
    assert list(made.metrics) == ["loss", "accuracy", "f1_score", "matthews_corrcoef"]
    names = [target.name for target in targets(made.model())]
    assert "bert.encoder.layer.1.attention.self.query.weight" in names
    assert not [name for name in names if "pooler" in name]


def test_the_head_follows_the_seed_and_the_base_does_not(pretrained, graded):
    made = task(described(pretrained("bert"), graded))
    one, same, other = (_seeded(made, seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert {n for n in one if not torch.equal(one[n], other[n])} == {
        "classifier.weight",
        "classifier.bias",
    }


def _seeded(made: Any, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return made.model().state_dict()


@pytest.mark.parametrize("pooling", ["model", "mean", "first", "last"])
def test_padding_changes_no_loss(pretrained, graded, pooling):
    made = task(described(pretrained("bert"), graded, pooling=pooling))
    model = made.model().double()
    with evaluating(model):
        together, alone = (
            torch.cat(
                [
                    made.answer(model, batch, final=True).losses
                    for batch in made.batches("valid", batch_size=size)
                ]
            )
            for size in (20, 1)
        )
    assert len({batch.lengths.item() for batch in made.batches("valid", batch_size=1)}) > 2
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


def test_batches_hold_examples_of_like_length_padded_to_the_longest(pretrained, graded):
    made = task(described(pretrained("bert"), graded))
    seen = []
    for batch in made.batches("train", batch_size=8, seed=0):
        ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
        assert ids.shape == mask.shape == (len(batch.examples), batch.lengths.max())
        assert torch.equal(mask.sum(1), batch.lengths)
        assert not ids[mask == 0].any()
        seen += batch.examples.tolist()
    assert sorted(seen) == list(range(40))


def test_a_head_of_the_files_that_tells_the_same_classes_apart_stays(pretrained, graded):
    kept = {0: "fine", 1: "good", 2: "bad"}
    names = {"id2label": kept, "label2id": {v: k for k, v in kept.items()}}
    folder = pretrained("bert", "BertForSequenceClassification", **names)
    made = task(described(folder, graded))
    assert made.head == ()
    expected = {batch.targets.item() for batch in made.batches("valid", batch_size=1)}
    assert expected == {0, 1, 2}
    labels = [row["label"] for row in _rows(graded)]
    counts = torch.bincount(torch.cat([b.targets for b in made.batches("train", batch_size=40)]))
    assert labels.count("good") * 2 == labels.count("fine")
    assert counts.tolist() == [16, 8, 16]  # fine, good, bad: the order of the files

    other = pretrained("bert", "BertForSequenceClassification", num_labels=3)
    assert task(described(other, graded)).head == ("classifier",)
    fewer = pretrained("bert", "BertForSequenceClassification", num_labels=2)
    assert task(described(fewer, graded)).head == ("classifier",)


def test_rare_classes_weigh_more_in_training_alone(pretrained, graded):
    made = task(described(pretrained("bert"), graded, class_weights="balanced"))
    batch = next(made.batches("train", batch_size=40))
    per_class = {c: batch.weights[batch.targets == c].sum().item() for c in range(3)}
    assert per_class == pytest.approx(dict.fromkeys(range(3), 40 / 3))
    assert next(made.batches("valid", batch_size=20)).weights.unique().tolist() == [1.0]


def test_pairs_are_read_together(pretrained, jsonl, texts):
    rows = [
        {"one": a, "two": b, "label": "yes" if i % 2 else "no"}
        for i, (a, b) in enumerate(zip(texts(60), texts(61), strict=False))
    ]
    columns = {"text": "one", "text_pair": "two"}
    data = {"path": jsonl("pairs.jsonl", rows), "columns": columns, "splits": {"train": 0.5}}
    made = task(described(pretrained("bert"), data))
    batch = next(made.batches("valid", batch_size=1))
    assert (batch.inputs["input_ids"] == 3).sum() == 2  # [SEP] behind each text


def test_texts_that_are_too_long_are_cut_and_told(pretrained, graded, caplog):
    with caplog.at_level(logging.WARNING):
        made = task(described(pretrained("bert"), graded, max_length=5))
    lengths = torch.cat([batch.lengths for batch in made.batches("train", batch_size=8)])
    assert lengths.max() == 5
    text = [row["text"] for row in _rows(graded)]
    long = sum(len(each.split()) > 3 for each in text)
    told = [int(record.args[1]) for record in caplog.records]
    assert sum(told) == long
    assert "longer than 5 tokens" in caplog.text


def test_any_text_is_read(pretrained, jsonl):
    odd = ["", "\u0000", "\ud800 a", "日本語", "e\u0301 é", "👩‍👩‍👧", "a\n\nb", " "]
    rows = [{"text": t, "label": str(i % 2)} for i, t in enumerate(odd)]
    rows += [{"text": f"a {'b ' * i}", "label": str(i % 2)} for i in range(8)]
    splits = {"train": 12, "valid": 2, "test": 2}
    data = {"path": jsonl("odd.jsonl", rows), "splits": splits, "allow_empty": True}
    made = task(described(pretrained("bert"), data, metrics=["accuracy"]))
    assert all(v.value == v.value for v in evaluate(made.model(), made, "train").values())


def test_equal_descriptions_have_equal_fingerprints(pretrained, graded):
    folder = pretrained("bert")
    one = task(described(folder, graded)).fingerprint()
    assert task(described(folder, graded, metrics=["accuracy"])).fingerprint() == one
    others = [
        described(folder, graded, max_length=5),
        described(folder, graded, pooling="first"),
        described(folder, graded, class_weights="balanced"),
        described(folder, graded | {"splits": SPLITS | {"seed": 1}}),
        described(pretrained("bert", hidden_size=16), graded),
    ]
    assert len({one, *(task(other).fingerprint() for other in others)}) == 6


def test_the_loss_of_a_batch_is_that_of_its_examples(pretrained, graded):
    made = task(described(pretrained("bert"), graded, class_weights="balanced"))
    model = made.model()
    with evaluating(model):
        batch = next(made.batches("train", batch_size=40))
        losses = made.answer(model, batch, final=False).losses
        torch.testing.assert_close(
            made.loss(model, batch), mean_loss(losses.float(), batch.weights)
        )


def own_model() -> torch.nn.Module:
    import transformers

    config = transformers.BertConfig(
        vocab_size=23,
        hidden_size=8,
        intermediate_size=16,
        num_labels=3,
        num_attention_heads=2,
        num_hidden_layers=1,
    )
    return transformers.BertForSequenceClassification(config)


def test_a_model_of_ones_own_needs_leave_and_a_tokenizer(pretrained, graded, tmp_path, monkeypatch):
    import inspect

    (tmp_path / "mine.py").write_text(f"import torch\n\n\n{inspect.getsource(own_model)}")
    monkeypatch.syspath_prepend(tmp_path)
    own = described("mine:own_model", graded, head=["classifier"])
    with pytest.raises(TokenizerNeeded):
        task(own, allow_code=True)
    own["tokenizer"] = pretrained("bert")
    with pytest.raises(CodeNotAllowed):
        task(own)
    made = task(own, allow_code=True)
    assert made.head == ("classifier",)
    assert evaluate(made.model(), made, "valid")["loss"].value > 0
    with pytest.raises(NoSuchModule, match="classifier"):
        task(own | {"head": ["clasifier"]}, allow_code=True)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"max_length": 33}, TooManyTokens, "max_length: 32 or less"),
        ({"packing": True}, BadValue, "packing"),
        ({"head": ["classifier"]}, BadValue, "head"),
        ({"metrics": ["acuracy"]}, UnknownName, "accuracy"),
        ({"objective": "regresion"}, BadValue, "regression"),
        ({"objective": "token_classification"}, MissingColumn, "words"),
        ({"pooling": "mean", "objective": "causal_lm"}, BadValue, "pooling"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(pretrained, graded, changes, error, words):
    with pytest.raises(error, match=words):
        task(described(pretrained("bert"), graded, **changes))
