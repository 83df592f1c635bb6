import json
import shutil
from pathlib import Path

import pytest
import torch

from autolora.data.assets import fetch
from autolora.data.pretrained import find, load, tokenizer
from autolora.errors import FetchFailed, ModelUnreachable, NotPretrained
from autolora.tasks.text import task
from autolora.training.evaluate import evaluate


def test_a_hub_id_without_a_network_is_one_clear_sentence(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnreachable) as caught:
        find("nobody/nothing")
    said = str(caught.value)
    assert '"nobody/nothing"' in said
    assert "name its folder" in said
    assert "\n" not in said


def test_a_hub_id_on_this_disk_is_read_from_there(monkeypatch, tmp_path, pretrained):
    """As the hub's own library keeps what it has downloaded."""
    from huggingface_hub import constants

    kept = tmp_path / "models--some--one"
    snapshot = kept / "snapshots" / ("a" * 40)
    shutil.copytree(pretrained("bert"), snapshot)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert find("some/one").folder.samefile(snapshot)


@pytest.mark.parametrize("name", ["no/such/folder", "./nothing", "nothing.gguf", "~/nothing"])
def test_a_path_to_nothing_is_no_hub_id(name):
    with pytest.raises(NotPretrained, match="no such file or folder"):
        find(name)


def test_a_folder_that_is_none_of_a_model_is_refused(tmp_path, pretrained):
    with pytest.raises(NotPretrained, match=r"config\.json"):
        find(str(tmp_path))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(NotPretrained, match=str(tmp_path)):
        load(find(str(tmp_path)), "AutoModel")
    with pytest.raises(NotPretrained):
        load(find(pretrained("bert")), "AutoModelForSeq2SeqLM")


def test_weights_of_another_model_are_refused(pretrained, tmp_path):
    shutil.copytree(pretrained("bert"), tmp_path / "mixed")
    described = Path(pretrained("llama"), "config.json")
    shutil.copy(described, tmp_path / "mixed" / "config.json")
    with pytest.raises(NotPretrained, match="lack most of the weights"):
        load(find(str(tmp_path / "mixed")), "AutoModelForCausalLM")


def test_code_in_a_folder_is_never_run(tmp_path, pretrained):
    folder = tmp_path / "bad"
    shutil.copytree(pretrained("bert"), folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "code.py").write_text("raise SystemExit('run')\n", "utf-8")
    with pytest.raises(NotPretrained):
        load(find(str(folder)), "AutoModel")


def test_a_gguf_file_is_converted_once(tmp_path, monkeypatch, pretrained):
    monkeypatch.setenv("AUTOLORA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tiny.gguf"
    state = _gguf(path)
    found = find(str(path))
    (marked,) = (tmp_path / "cache" / "prepared").iterdir()
    assert marked.samefile(found.folder)
    model = load(found, "AutoModelForCausalLM").fresh()
    assert torch.equal(model.get_parameter("model.embed_tokens.weight"), state)
    assert tokenizer(found)("ab")["input_ids"] == [2]
    before = (found.folder / "config.json").stat().st_mtime_ns
    assert find(str(path)) == found
    assert (found.folder / "config.json").stat().st_mtime_ns == before


def test_a_file_that_is_no_gguf_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOLORA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF is what it says")
    with pytest.raises(NotPretrained, match=r"broken\.gguf"):
        find(str(path))
    assert not list((tmp_path / "cache" / "prepared").iterdir())


def _gguf(path: Path) -> torch.Tensor:
    """A Llama of one layer with a vocabulary of three; gives its table."""
    import gguf

    generator = torch.Generator().manual_seed(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(16)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(4)
    writer.add_vocab_size(4)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "ab", "<end>"])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(3)
    writer.add_eos_token_id(3)
    table = torch.randn(4, 8, generator=generator)
    shapes = {"attn_q": (8, 8), "attn_k": (8, 8), "attn_v": (8, 8), "attn_output": (8, 8)}
    shapes |= {"ffn_gate": (16, 8), "ffn_up": (16, 8), "ffn_down": (8, 16)}
    writer.add_tensor("token_embd.weight", table.numpy())
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        writer.add_tensor(f"blk.0.{name}.weight", values.numpy())
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", torch.ones(8).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return table


@pytest.fixture
def asset():
    def need(name: str) -> None:
        try:
            fetch(name)
        except FetchFailed as error:
            pytest.skip(str(error))

    return need


def test_minilm_by_its_name(asset, jsonl):
    asset("minilm")
    subjects = ("the cat", "a dog", "my friend", "the old man", "her son", "our king")
    rows = [{"text": f"{s} eats {n} apples", "label": "food"} for s in subjects for n in range(4)]
    rows += [{"text": f"{s} reads {n} books", "label": "text"} for s in subjects for n in range(4)]
    data = {"path": jsonl("minilm.jsonl", rows), "splits": {"train": 24, "valid": 12, "test": 12}}
    made = task({"model": "minilm", "data": data, "max_length": 16})
    assert made.head == ("classifier",)
    assert evaluate(made.model(), made, "valid")["loss"].value == pytest.approx(0.693, abs=0.1)


@pytest.mark.slow
def test_smollm2_knows_english(asset, jsonl):
    asset("smollm2")
    cities = ("Paris", "Lyon", "Lille", "Nice")
    rows = [{"text": f"{city} is a city in France, a country of Europe."} for city in cities]
    data = {"path": jsonl("en.jsonl", rows), "splits": {"train": 2, "valid": 1, "test": 1}}
    made = task({"model": "smollm2", "data": data, "objective": "causal_lm"})
    assert evaluate(made.model(), made, "valid")["perplexity"].value < 100
