"""Ranks in `Trainer.hyperparameter_search`, and trainings as trials of a study."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from autolora.errors import EvaluatesNothing, UnknownName
from autolora.integrations.transformers import Ranks, StudyCallback, notes
from autolora.lora import attached

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")

SPACE = {
    "ranks": [0, 1, 2],
    "groups": [
        {"name": "attention", "match": ["*attention*"]},
        {"name": "mlp", "match": ["*intermediate*", "*.output.dense.weight"]},
    ],
    "training": {"learning_rate": {"low": 0.001, "high": 0.05}},
}


class Sentences(Dataset[dict[str, Tensor]]):
    """Rows of tokens, from one half of the vocabulary or the other, which the label tells."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.labels = torch.arange(32) % 2
        self.tokens = torch.randint(1, 25, (32, 8), generator=generator) + 24 * self.labels[:, None]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


def bert() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=16,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def arguments(folder: Path, **settings: Any) -> TrainingArguments:
    given = {"num_train_epochs": 1, "save_strategy": "no", "eval_strategy": "epoch"} | settings
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        **given,
    )


def trainer(folder: Path, ranks: Ranks) -> Trainer:
    data = Sentences()
    return Trainer(
        model_init=ranks.model_init, args=arguments(folder), train_dataset=data, eval_dataset=data
    )


def test_ranks_are_searched_by_the_trainer(tmp_path):
    ranks = Ranks(bert, SPACE, head=("classifier",), uniform_rank=1)
    with_ranks = trainer(tmp_path, ranks)
    seen = []
    init = with_ranks.model_init
    with_ranks.model_init = lambda trial=None: seen.append(init(trial)) or seen[-1]
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    best = with_ranks.hyperparameter_search(
        ranks.hp_space,
        backend="optuna",
        n_trials=4,
        study_name="ranks",
        storage=storage,
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    study = optuna.load_study(study_name="ranks", storage=storage)
    assert len(study.trials) == 4
    for trial, model in zip(study.trials, seen, strict=True):
        proposal = ranks.proposal(trial.params)
        found = {name: part.down.shape[0] for name, part in attached(model).factors.items()}
        assert found == dict(proposal.allocation)
        assert trial.user_attrs["parameters"] <= ranks.budget_parameters
        assert any(part.up.any() for part in attached(model).factors.values()) or not found
    assert len({json.dumps(dict(ranks.proposal(t.params).allocation)) for t in study.trials}) > 1
    assert with_ranks.args.learning_rate == study.trials[-1].params["learning_rate"]
    final = bert()
    ranks.attach(final, best.hyperparameters)
    assert final.classifier.weight.requires_grad


def test_a_space_that_does_not_fit_is_one_sentence():
    with pytest.raises(UnknownName, match="convolution"):
        _ = Ranks(bert, SPACE | {"groups": [{"name": "c", "kinds": ["convolution"]}]}).resolved


def test_a_training_is_a_trial_of_a_study(tmp_path):
    ranks = Ranks(bert, SPACE, head=("classifier",))
    model = bert()
    chosen = ranks.resolved.uniform(2)
    adapter = ranks.attach(model, ranks.resolved.encode(chosen, 0.02))
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'study.db'}")
    told = StudyCallback(study, notes=notes(adapter))
    data = Sentences()
    args = arguments(tmp_path, num_train_epochs=3, learning_rate=0.02)
    Trainer(model, args, train_dataset=data, eval_dataset=data, callbacks=[told]).train()
    trial = study.trials[0]
    assert trial.state == optuna.trial.TrialState.COMPLETE
    assert list(trial.intermediate_values) == [4, 8, 12]
    assert trial.value == min(trial.intermediate_values.values())
    assert json.loads(trial.user_attrs["allocation"]) == dict(chosen)
    assert trial.user_attrs["parameters"] == chosen.parameters(ranks.resolved.targets)


def test_a_hopeless_training_is_pruned(tmp_path):
    class Always(optuna.pruners.BasePruner):
        def prune(self, study: Any, trial: Any) -> bool:
            return len(trial.intermediate_values) == 2

    study = optuna.create_study(pruner=Always())
    data = Sentences()
    args = arguments(tmp_path, num_train_epochs=5)
    told = StudyCallback(study)
    Trainer(bert(), args, train_dataset=data, eval_dataset=data, callbacks=[told]).train()
    assert study.trials[0].state == optuna.trial.TrialState.PRUNED
    assert len(study.trials[0].intermediate_values) == 2


def test_a_metric_that_is_not_evaluated_is_told(tmp_path):
    data = Sentences()
    told = StudyCallback(optuna.create_study(), metric="eval_accuracy")
    given = arguments(tmp_path)
    with pytest.raises(EvaluatesNothing, match="eval_loss"):
        Trainer(bert(), given, train_dataset=data, eval_dataset=data, callbacks=[told]).train()
