"""Ranks inside Trainer.hyperparameter_search, in a database that Optuna's dashboard opens."""

import tempfile
from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
)

from autolora.data.assets import folder
from autolora.integrations.transformers import Ranks

TEXTS = [("a fine and happy day", 1), ("a sad and rainy week", 0), ("happy people sing", 1),
         ("nobody came, it was sad", 0)] * 12  # fmt: skip


def make() -> torch.nn.Module:
    """MiniLM with a new classifier, equal at every call."""
    torch.manual_seed(0)
    model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(folder("minilm"))
    return model


def main(trials: int = 3) -> dict[str, float]:
    """Searches; gives the best configuration."""
    tokenizer = AutoTokenizer.from_pretrained(folder("minilm"))
    data = [
        {**tokenizer(text, padding="max_length", max_length=10), "labels": label}
        for text, label in TEXTS
    ]
    place = Path(tempfile.mkdtemp())
    ranks = Ranks(make, "text-encoder", head=("classifier",), uniform_rank=2)
    trainer = Trainer(
        model_init=ranks.model_init,
        args=TrainingArguments(
            output_dir=str(place),
            num_train_epochs=1,
            per_device_train_batch_size=8,
            report_to=[],
            save_strategy="no",
            eval_strategy="epoch",
            use_cpu=True,
        ),
        train_dataset=data[:32],
        eval_dataset=data[32:],
    )
    best = trainer.hyperparameter_search(
        ranks.hp_space,
        backend="optuna",
        n_trials=trials,
        direction="minimize",
        study_name="ranks",
        storage=f"sqlite:///{place / 'study.db'}",
    )
    allocation = ranks.proposal(best.hyperparameters).allocation
    print(f"loss {best.objective:.3f} with {len(allocation)} adapted weights; see {place}/study.db")
    return dict(best.hyperparameters)


if __name__ == "__main__":
    main()
