"""`transformers.Trainer` as it comes: it takes a model that carries an adapter already."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from autolora.lora import Allocation, Attached, attach, attached, detach, select, targets
from autolora.testing.stage import close, randomise, same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


class Sentences(Dataset[dict[str, Tensor]]):
    """Rows of tokens, from one half of the vocabulary or the other, which the label tells."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.labels = torch.arange(32) % 2
        tokens = torch.randint(1, 25, (32, 8), generator=generator)
        self.tokens = tokens + 24 * self.labels[:, None]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


class Texts(Sentences):
    """The same rows, each to be said again."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.tokens[index]}


def bert() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        num_labels=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.BertForSequenceClassification(config)


def adapted() -> tuple[nn.Module, Attached]:
    """Deltas in embeddings and encoder; the classifier is trained in full."""
    model = bert()
    chosen = select(targets(model), ["bert.*"])
    return model, attach(model, Allocation.uniform(chosen, 4)).also_train("classifier")


def trainer(model: nn.Module, folder: Path, **settings: Any) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        learning_rate=2e-2,
        report_to=[],
        disable_tqdm=True,
        logging_steps=1,
        use_cpu=True,
        seed=0,
        **({"num_train_epochs": 4, "save_strategy": "epoch"} | settings),
    )
    data = Sentences()
    return Trainer(model=model, args=arguments, train_dataset=data, eval_dataset=data)


def losses(trained: Trainer) -> list[float]:
    return [entry["loss"] for entry in trained.state.log_history if "loss" in entry]


def test_only_what_is_trained_changes(tmp_path: Path) -> None:
    model, adapter = adapted()
    before = copy.deepcopy(model.state_dict())
    run = trainer(model, tmp_path, save_strategy="no", num_train_epochs=10)
    run.train()
    assert sum(losses(run)[-4:]) < sum(losses(run)[:4]) * 0.9
    trained = {id(p) for p in adapter.parameters()}
    names = {name for name, p in model.named_parameters() if id(p) in trained}
    assert any(".lora." in n for n in names)
    assert any("classifier" in n for n in names)
    after = model.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == names


def test_a_run_is_resumed_from_its_checkpoint(tmp_path: Path) -> None:
    """The second half after a restart ends where the whole run does."""
    whole, _ = adapted()
    trainer(whole, tmp_path).train()
    assert (tmp_path / "checkpoint-8").is_dir()
    again, _ = adapted()
    calls: list[nn.Module] = []
    again.register_forward_pre_hook(lambda module, _: calls.append(module))
    run = trainer(again, tmp_path)
    run.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    assert (len(calls), run.state.global_step) == (8, 16)
    close(list(again.state_dict().values()), list(whole.state_dict().values()), 1e-6)


def test_a_tied_model_is_resumed(tmp_path: Path) -> None:
    """Its checkpoint leaves out the second name of the tied table, which is adapted here."""
    models = [llama(), llama()]
    for model in models:
        attach(model, Allocation.uniform(targets(model), 2))
    for model, checkpoint in zip(models, (None, str(tmp_path / "checkpoint-8")), strict=True):
        run = trainer(model, tmp_path)
        run.train_dataset = Texts()
        run.train(resume_from_checkpoint=checkpoint)
    first, second = (list(model.state_dict().values()) for model in models)
    close(second, first, 1e-6)
    assert all(part.up.any() for part in attached(models[1]).factors.values())


def test_what_it_saves_opens_in_an_adapted_model(tmp_path: Path) -> None:
    model, adapter = adapted()
    randomise(adapter)
    trainer(model, tmp_path).save_model()
    state = load_file(tmp_path / "model.safetensors")
    assert set(state) == set(model.state_dict())
    twin, _ = adapted()
    twin.load_state_dict(state)
    tokens = Sentences().tokens[:4]
    same([twin.eval()(tokens).logits], [model.eval()(tokens).logits])


def test_the_best_checkpoint_is_loaded_at_the_end(tmp_path: Path) -> None:
    model, adapter = adapted()
    run = trainer(
        model,
        tmp_path,
        eval_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
    )
    run.train()
    best = min(e["eval_loss"] for e in run.state.log_history if "eval_loss" in e)
    assert run.evaluate()["eval_loss"] == pytest.approx(best, rel=1e-5)
    assert attached(model).allocation == adapter.allocation
    detach(model)
    assert not any(".lora." in name for name in model.state_dict())


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_gradient_checkpointing(kind: str, *, reentrant: bool) -> None:
    """As transformers switches it on, in both of torch's ways: equal gradients."""
    model = (bert() if kind == "bert" else llama()).double().train()
    chosen = select(targets(model), ["*layer*"])
    adapter = randomise(attach(model, Allocation.uniform(chosen, 2), scale=0.1))
    wanted = slopes(model, adapter)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    if reentrant:
        model.enable_input_require_grads()  # for this way needs an input that asks for them
    close(slopes(model, adapter), wanted)


def llama() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
        tie_word_embeddings=True,
    )
    return transformers.LlamaForCausalLM(config)


def slopes(model: nn.Module, adapter: Attached) -> list[Tensor]:
    model.zero_grad()
    model(Sentences().tokens[:3]).logits.square().mean().backward()
    found = [p.grad for p in adapter.parameters() if p.grad is not None]
    assert len(found) == len(list(adapter.parameters()))
    return [slope.clone() for slope in found]
