"""transformers' Trainer as it comes: MiniLM tells questions from statements."""

import tempfile
from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
)

import autolora
from autolora.data.assets import folder

SUBJECTS = "cat dog river teacher city train song garden winter book".split()
VERBS = "sleep sing move end start change grow open close wait".split()


def rows() -> list[tuple[str, int]]:
    """Sentences with their class: 1 for a question."""
    asked = [(f"does the {s} {v} today", 1) for s in SUBJECTS for v in VERBS]
    told = [(f"the {s} will {v} today", 0) for s in SUBJECTS for v in VERBS]
    return asked + told


def main(epochs: int = 4) -> float:
    """Trains and saves base and adapter apart; gives the validation loss, in nats."""
    base = folder("minilm")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    tokenizer = AutoTokenizer.from_pretrained(base)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    chosen = autolora.select(autolora.targets(model), ["*attention*"])
    adapter = autolora.attach(model, autolora.Allocation.uniform(chosen, 4))
    adapter.also_train("classifier")

    data = [
        {**tokenizer(text, padding="max_length", max_length=10, truncation=True), "labels": label}
        for text, label in rows()
    ]
    place = Path(tempfile.mkdtemp())
    arguments = TrainingArguments(
        output_dir=str(place / "runs"),
        num_train_epochs=epochs,
        per_device_train_batch_size=16,
        learning_rate=5e-3,
        report_to=[],
        save_strategy="no",
        logging_steps=5,
        use_cpu=True,
    )
    trainer = Trainer(model, arguments, train_dataset=data[::2], eval_dataset=data[1::2])
    trainer.train()
    loss = float(trainer.evaluate()["eval_loss"])

    autolora.save(model, place / "adapter")
    autolora.detach(model)
    model.save_pretrained(place / "base")  # the base as it was, beside the trained classifier
    again = AutoModelForSequenceClassification.from_pretrained(place / "base").state_dict()
    changed = {name for name in before if not torch.equal(before[name], again[name])}
    assert changed == {"classifier.weight", "classifier.bias"}, changed
    print(f"loss {loss:.3f}; adapter and base are in {place}")
    return loss


if __name__ == "__main__":
    main()
