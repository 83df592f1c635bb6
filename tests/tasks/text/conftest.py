"""Tiny transformers models with a tokenizer of whole words, saved as people save theirs."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = "a b c d e f g one two three four good bad fine poor very not and or".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SIZES = {"vocab_size": len(SPECIAL + WORDS), "pad_token_id": 0}
FORMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": (
        "BertConfig",
        "BertModel",
        {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}
        | {"num_hidden_layers": 2, "max_position_embeddings": 32},
    ),
    "llama": (
        "LlamaConfig",
        "LlamaForCausalLM",
        {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}
        | {"num_key_value_heads": 1, "num_hidden_layers": 2, "max_position_embeddings": 64}
        | {"bos_token_id": 2, "eos_token_id": 3, "tie_word_embeddings": True},
    ),
    "t5": (
        "T5Config",
        "T5ForConditionalGeneration",
        {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_heads": 2, "num_layers": 2}
        | {"decoder_start_token_id": 0, "eos_token_id": 3},
    ),
    "bart": (
        "BartConfig",
        "BartForConditionalGeneration",
        {"d_model": 8, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "encoder_layers": 2}
        | {"decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
        | {"bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3}
        | {"forced_eos_token_id": 3, "max_position_embeddings": 64},
    ),
}


def tokenizer(*, marks: bool) -> Any:
    """Whole words; `marks` puts [CLS] and [SEP] around a text, as BERT has it."""
    fast = Tokenizer(models.WordLevel({w: i for i, w in enumerate(SPECIAL + WORDS)}, "[UNK]"))
    fast.normalizer = normalizers.Lowercase()
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    if marks:
        fast.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    names |= {"cls_token": "[CLS]", "sep_token": "[SEP]"} if marks else {"eos_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **names)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A folder with a tiny model of a form; a head of its own where another class is named."""

    def saved(form: str, architecture: str = "", **changes: Any) -> str:
        config, plain, sizes = FORMS[form]
        folder = tmp_path_factory.mktemp(form)
        described = getattr(transformers, config)(**SIZES | sizes | changes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = getattr(transformers, architecture or plain)(described)
        model.save_pretrained(folder)
        tokenizer(marks=form == "bert").save_pretrained(folder)
        return str(folder)

    return saved


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[[str, Iterable[dict[str, Any]]], str]:
    """Rows as a file of JSON lines."""
    import json

    def write(name: str, rows: Iterable[dict[str, Any]]) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


def phrases(count: int, length: Sequence[int] = (1, 6)) -> list[str]:
    """Distinct texts of some words, the same at every call."""
    generator = torch.Generator().manual_seed(count)
    low, high = length
    found: dict[str, None] = {}
    while len(found) < count:
        words = int(torch.randint(low, high + 1, (1,), generator=generator))
        drawn = torch.randint(len(WORDS), (words,), generator=generator).tolist()
        found[" ".join(WORDS[i] for i in drawn)] = None
    return list(found)


@pytest.fixture(scope="session")
def texts() -> Callable[..., list[str]]:
    return phrases
