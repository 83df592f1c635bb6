import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from autolora.errors import NothingToPredict, PromptsPacked, TagsDoNotFit
from autolora.tasks.text import task
from autolora.training.evaluate import evaluate
from autolora.training.modes import evaluating

SPLITS = {"train": 30, "valid": 15, "test": 15}


def described(model: str, path: str, objective: str, **changes: Any) -> dict[str, Any]:
    data = {"path": path, "splits": SPLITS}
    return {"model": model, "data": data, "objective": objective, "max_length": 16} | changes


def learns(made: Any) -> bool:
    """A few steps of all weights lower the loss of train."""
    model = made.model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    before = evaluate(model, made, "train")["loss"].value
    for epoch in range(4):
        for batch in made.batches("train", batch_size=8, seed=epoch):
            optimizer.zero_grad()
            made.loss(model, batch).backward()
            optimizer.step()
    return evaluate(model, made, "train")["loss"].value < before


def test_several_labels(pretrained, jsonl, texts):
    rows = [
        {"text": text, "label": sorted({*text.split()} & {"a", "b", "c"})} for text in texts(60)
    ]
    made = task(described(pretrained("bert"), jsonl("labels.jsonl", rows), "multi_label"))
    batch = next(made.batches("train", batch_size=30))
    assert batch.targets.shape == (30, 3)
    named = [[n for n, yes in zip("abc", row, strict=True) if yes] for row in batch.targets]
    assert named == [_labels(ids.tolist()) for ids in batch.inputs["input_ids"]]
    assert set(evaluate(made.model(), made, "test")) == {"loss", "accuracy", "f1_score"}
    assert learns(made)


def _labels(ids: list[int]) -> list[str]:
    """The labels that the words of an example say."""
    return [name for token, name in ((4, "a"), (5, "b"), (6, "c")) if token in ids]


def test_numbers(pretrained, jsonl, texts):
    rows = [{"text": text, "label": len(text.split()) / 2} for text in texts(60)]
    made = task(described(pretrained("bert"), jsonl("numbers.jsonl", rows), "regression"))
    batch = next(made.batches("valid", batch_size=15))
    assert torch.equal(batch.targets, (batch.lengths - 2) / 2)
    found = evaluate(made.model(), made, "test")
    assert set(found) == {"loss", "pearson_corrcoef", "spearman_corrcoef"}
    assert learns(made)


def test_tags_lie_on_the_first_token_of_each_word(pretrained, jsonl, texts):
    rows = [
        {
            "words": ["good-bad", *text.split()],
            "tags": ["X", *("V" if w in "aeiou" else "C" for w in text.split())],
        }
        for text in texts(60)
    ]  # "good-bad" is three tokens
    made = task(described(pretrained("bert"), jsonl("tags.jsonl", rows), "token_classification"))
    assert made.classes == 3
    batch = next(made.batches("train", batch_size=30))
    for ids, targets, weight in zip(
        batch.inputs["input_ids"], batch.targets, batch.weights, strict=True
    ):
        counted = targets != -100
        assert counted.sum() == weight
        assert counted[:4].tolist() == [False, True, False, False]
        vowels = (ids[4:] == 4) | (ids[4:] == 8)  # "a" and "e"
        assert torch.equal(targets[4:] == 1, counted[4:] & vowels)
    answers = made.answer(made.model().eval(), batch, final=True)
    assert [len(each) for each in answers.predicted] == batch.weights.tolist()
    assert learns(made)


def test_words_without_a_tag_are_refused(pretrained, jsonl):
    rows = [{"words": ["a", "b"], "tags": ["X", "Y"]}, {"words": ["c", "d"], "tags": ["X"]}]
    rows += [{"words": ["a", w], "tags": ["X", "Y"]} for w in "efg"]
    path = jsonl("tags.jsonl", rows)
    splits = {"train": 3, "valid": 1, "test": 1}
    options = described(pretrained("bert"), path, "token_classification")
    with pytest.raises(TagsDoNotFit, match="2 words and 1 tags"):
        task(options | {"data": {"path": path, "splits": splits}})


def test_a_language_model_learns_every_token_and_the_end(pretrained, jsonl, texts):
    rows = [{"text": text} for text in texts(60, (2, 8))]
    made = task(described(pretrained("llama"), jsonl("texts.jsonl", rows), "causal_lm"))
    assert made.head == ()
    model = made.model()
    with evaluating(model):
        losses, counts = 0.0, 0
        for batch in made.batches("valid", batch_size=1):
            ids = batch.inputs["input_ids"]
            assert ids[0, -1] == 3  # the end
            assert batch.weights.item() == len(ids[0]) - 1
            scores = model(input_ids=ids).logits[0, :-1]
            losses += F.cross_entropy(scores, ids[0, 1:], reduction="sum").item()
            counts += len(ids[0]) - 1
    found = evaluate(made.model(), made, "valid")
    assert found["loss"].value == pytest.approx(losses / counts, rel=1e-5)
    assert found["perplexity"].value == pytest.approx(math.exp(losses / counts), rel=1e-5)
    assert learns(made)


def test_a_prompt_is_read_and_not_learnt(pretrained, jsonl, texts):
    rows = [{"prompt": "good bad", "text": text} for text in texts(60)]
    path = jsonl("prompts.jsonl", rows)
    made = task(described(pretrained("llama"), path, "causal_lm"))
    batch = next(made.batches("train", batch_size=30))
    assert (batch.targets[:, :2] == -100).all()
    assert torch.equal(batch.weights.long(), batch.lengths - 2)
    model = made.model()
    with evaluating(model):
        scores = model(**batch.inputs).logits
        losses = made.answer(model, batch, final=True).losses
    row, length = 0, int(batch.lengths[0])
    ids = batch.inputs["input_ids"][row, :length]
    right = F.cross_entropy(scores[row, 1 : length - 1], ids[2:])
    assert losses[row] == pytest.approx(right.item(), rel=1e-5)
    with pytest.raises(PromptsPacked):
        task(described(pretrained("llama"), path, "causal_lm", packing=True))


def test_a_long_prompt_loses_its_beginning_and_a_long_text_its_end(pretrained, jsonl):
    rows = [{"prompt": f"a b c d {w}", "text": "one two three"} for w in ("e", "f", "g", "good")]
    path = jsonl("long.jsonl", rows)
    splits = {"splits": {"train": 2, "valid": 1, "test": 1}}
    options = described(pretrained("llama"), path, "causal_lm", max_length=6)
    made = task(options | {"data": {"path": path} | splits})
    batch = next(made.batches("train", batch_size=2))
    assert batch.lengths.tolist() == [6, 6]
    assert batch.weights.tolist() == [4, 4]  # three words and the end
    made = task(options | {"data": {"path": path} | splits, "max_length": 4})
    assert next(made.batches("train", batch_size=2)).weights.tolist() == [3, 3]


def test_packing_fills_blocks_of_train_and_leaves_what_is_measured(pretrained, jsonl, texts):
    path = jsonl("texts.jsonl", [{"text": text} for text in texts(60, (2, 8))])
    plain = task(described(pretrained("llama"), path, "causal_lm"))
    packed = task(described(pretrained("llama"), path, "causal_lm", packing=True))
    tokens = sum(int(batch.lengths.sum()) for batch in plain.batches("train", batch_size=8))
    assert packed.examples("train") == -(-tokens // 16)
    assert sum(int(b.lengths.sum()) for b in packed.batches("train", batch_size=8)) == tokens
    assert packed.examples("valid") == plain.examples("valid")
    assert evaluate(packed.model(), packed, "valid") == evaluate(plain.model(), plain, "valid")
    assert packed.fingerprint() != plain.fingerprint()


def test_texts_of_one_token_predict_nothing(pretrained, jsonl, texts):
    path = jsonl("texts.jsonl", [{"text": text} for text in texts(60)])
    folder = Path(pretrained("llama"))
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    del config["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    made = task(described(str(folder), path, "causal_lm"))
    assert made.examples("train") < 30
    single = jsonl("single.jsonl", [{"text": w} for w in "abcdefg"])
    splits = {"train": 3, "valid": 2, "test": 2}
    with pytest.raises(NothingToPredict, match="single"):
        task(
            described(str(folder), single, "causal_lm")
            | {"data": {"path": single, "splits": splits}}
        )


@pytest.mark.parametrize("form", ["t5", "bart"])
def test_an_answer_in_words_is_taught_and_written(pretrained, jsonl, texts, form):
    rows = [{"text": text, "target": " ".join(reversed(text.split()))} for text in texts(60)]
    made = task(described(pretrained(form), jsonl("answers.jsonl", rows), "seq2seq"))
    batch = next(made.batches("valid", batch_size=15))
    model = made.model()
    labels = batch.targets
    with evaluating(model):
        theirs = model(
            input_ids=batch.inputs["input_ids"],
            attention_mask=batch.inputs["attention_mask"],
            labels=labels,
        ).loss
        ours = made.loss(model, batch)
        quick = made.answer(model, batch, final=False)
        answers = made.answer(model, batch, final=True)
    torch.testing.assert_close(ours, theirs)
    assert quick.predicted is None
    words = {row["target"] for row in rows}
    assert all(text in words for text in answers.expected)
    assert all(isinstance(text, str) for text in answers.predicted)
    assert set(evaluate(model, made, "test")) == {"loss", "exact_match", "char_error_rate"}
    assert learns(made)


def test_a_small_model_learns_to_copy_a_word(pretrained, jsonl):
    words = "a b c d e f g one two three".split()
    rows = [{"text": f"{w} {v}", "target": w} for w in words for v in words[:6]]
    made = task(
        described(pretrained("t5", d_model=32, d_ff=64), jsonl("copy.jsonl", rows), "seq2seq")
    )
    model = made.model()
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for epoch in range(40):
        for batch in made.batches("train", batch_size=15, seed=epoch):
            optimizer.zero_grad()
            made.loss(model, batch).backward()
            optimizer.step()
    assert evaluate(model, made, "train")["exact_match"].value > 0.8
