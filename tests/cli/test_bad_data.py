"""Data, models and studies that cannot be: one sentence, exit code 2, nothing written."""

import json
import math
import wave
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autolora.data.assets import fetch
from autolora.data.sound.files import samples
from autolora.errors import FetchFailed

Place = Any  # of conftest.py
Make = Callable[[Path], object]
OFFLINE = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
TEXT = {"type": "text", "model": "minilm", "data": "own.csv"}
IMAGE = {"type": "image", "model": "mobilenet_v2", "data": "photos", "image_size": 32}
SOUND = {"type": "audio", "model": "resemblyzer", "data": "own.csv"}
WHISPER = {"type": "audio", "model": "whisper_tiny_en", "objective": "transcription"}
SPACES = {"text": "text-encoder", "image": "cnn", "audio": "speech-rnn"}
ROWS = [f"the number {i} is {'odd' if i % 2 else 'even'},{'ab'[i % 2]}" for i in range(40)]


def table(*rows: str, name: str = "own.csv", head: str = "text,label", code: str = "utf-8") -> Make:
    return lambda folder: (folder / name).write_bytes("\n".join([head, *rows]).encode(code))


def raw(content: bytes, name: str = "own.csv") -> Make:
    return lambda folder: (folder / name).write_bytes(content)


def lines(broken: str) -> Make:
    """Of JSON, the seventh broken."""
    rows = [json.dumps({"text": f"text {i}", "label": "ab"[i % 2]}) for i in range(40)]
    return raw("\n".join([*rows[:6], broken, *rows[7:]]).encode(), "own.jsonl")


def photos(broken: bytes | None = None, classes: str = "ab") -> Make:
    """A folder a class; the first file is cut off where `broken` says what is left of it."""

    def make(folder: Path) -> None:
        for number in range(20):
            home = folder / "photos" / classes[number % len(classes)]
            home.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(home / f"{number}.png")
        first = folder / "photos" / "a" / "0.png"
        first.write_bytes(first.read_bytes() if broken is None else broken)

    return make


def tone(path: Path, seconds: float, width: int = 2, *, height: int = 300) -> None:
    """A WAV file of so many bytes a sample, half as loud as can be."""
    angles = (2 * math.pi * height * i / 8000 for i in range(round(seconds * 8000)))
    top = 2 ** (8 * width - 1) - 1
    values = [round(top * math.sin(angle) / 2) for angle in angles]
    if width == 1:  # the only one without a sign
        content = bytes(128 + value for value in values)
    else:
        content = b"".join(value.to_bytes(width, "little", signed=True) for value in values)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(content)


def sounds(seconds: float = 0.3, widths: Iterable[int] = (2,), head: str = "audio,label") -> Make:
    """High and low tones and a table of them; the fourth has its own length."""

    def make(folder: Path) -> None:
        each, rows = list(widths), []
        for i in range(24):
            height, width = (200, 800)[i % 2] + 3 * i, each[i // 2 % len(each)]
            tone(folder / f"{i}.wav", seconds if i == 3 else 0.3, width, height=height)
            rows.append(f"{i}.wav,{('low', 'high')[i % 2]}")
        table(*rows, head=head)(folder)

    return make


def both(*makes: Make) -> Make:
    return lambda folder: [make(folder) for make in makes]


def told(make: Make, task: Mapping[str, Any], *says: str, slow: bool = False) -> Any:
    return pytest.param(make, task, says, id=says[0], marks=[pytest.mark.slow] if slow else [])


GIVEN = {**TEXT, "data": {"train": "own.csv", "valid": "more.csv"}}
MORE = table("a new text,a", "another text,zebra", name="more.csv")
PLAIN = table(*ROWS)
TOO_LONG = "lasts 30.00 s, and the model hears 2 s; make `seconds` longer"
NO_HUB = 'the model "owner/name" is no folder here and could not be had from the hub'
REFUSED = [
    told(table(*ROWS, head="body,label"), TEXT, 'no column "text"; it has body, label', "columns:"),
    told(table(*ROWS, "a,b,c"), TEXT, "line 42 of own.csv has 3 values and the header 2 names"),
    told(table(*(f"text {i},a" for i in range(40))), TEXT, 'train (own.csv) has the label "a"'),
    told(photos(classes="a"), IMAGE, 'photos) has the label "a"; there is nothing to learn'),
    told(both(PLAIN, MORE), GIVEN, "line 3 of more.csv, which is in valid", '"zebra"', "a, b"),
    told(table(*ROWS, ",a"), TEXT, "line 42 of own.csv has an empty text", "allow_empty: true"),
    told(table(*ROWS, "  ,a"), TEXT, "42 of own.csv has an empty text for the role"),
    told(raw(b""), TEXT, "own.csv holds no examples"),
    told(table(), TEXT, "own.csv holds no examples; name a table that has some"),
    told(raw(b"\0" * 64), TEXT, "line 1 of own.csv cannot be read: it holds a NUL"),
    told(table(*ROWS, "a\0b,a"), TEXT, "line 42 of own.csv cannot be read: it holds a NUL"),
    told(table(*ROWS, code="utf-16-le"), TEXT, "holds a NUL character; save the file as UTF-8"),
    told(table(*ROWS, code="utf-16"), TEXT, "byte 0xff is no UTF-8; save the file as UTF-8"),
    told(table(*ROWS, "für,a", code="latin-1"), TEXT, "line 42 of own.csv", "0xfc is no UTF-8"),
    told(lines('{"text": "b", '), {**TEXT, "data": "own.jsonl"}, "line 7 of own.jsonl cannot"),
    told(lines('{"text": "b"}'), {**TEXT, "data": "own.jsonl"}, "line 7", 'the role "label"'),
    told(raw(b"PAR1", "a.parquet"), {**TEXT, "data": "a.parquet"}, "a.parquet cannot be read"),
    told(raw(b"a", "a.txt"), {**TEXT, "data": "a.txt"}, "a.txt is in no format", ".csv, .tsv"),
    told(PLAIN, IMAGE, 'no data at "photos": it is no file, no folder', "write a path"),
    told(photos(), {**TEXT, "data": "photos"}, 'photos has no column "text"; it has image, label'),
    told(photos(b"a text"), IMAGE, "a/0.png is no image file; replace it or take it out"),
    told(photos(b"\x89PNG\r\n\x1a\n"), IMAGE, "row 1 of", "a/0.png cannot be read as an image"),
    told(
        table("a.png,a", "b.png,b", head="image,label"),
        {**IMAGE, "data": "own.csv"},
        "line 2 of own.csv names the file a.png, which is not there",
    ),
    told(sounds(0), SOUND, "3.wav (line 5 of own.csv) lasts 0 s, and a model hears 0.025 s"),
    told(both(sounds(), raw(b"", "3.wav")), SOUND, "line 5 of own.csv: 3.wav is no audio file"),
    told(both(sounds(), raw(b"RIFF    WAVE", "3.wav")), SOUND, "3.wav (line 5", "read as sound"),
    told(sounds(30), {**SOUND, "seconds": 2}, TOO_LONG, "too_long: drop (or cut"),
    told(
        sounds(30, head="audio,transcript"),
        {**WHISPER, "data": "own.csv", "seconds": 2},
        f"{TOO_LONG}, or say",
        slow=True,
    ),
    told(PLAIN, {**TEXT, "model": "owner/name"}, NO_HUB, "HF_HUB_OFFLINE", "path/to/folder"),
    told(photos(), {**IMAGE, "model": "owner/name"}, f"{NO_HUB}: ", slow=True),
    told(sounds(), {**SOUND, "model": "owner/name"}, f"{NO_HUB}: Cannot", slow=True),
    told(PLAIN, {**TEXT, "data": "hub:owner/name"}, 'data set "hub:owner/name" cannot', "save_to"),
    told(PLAIN, {**TEXT, "model": "./mine"}, '"./mine" is no transformers model', "config.json"),
    told(
        both(sounds(), raw(b"hi", "w.pt")),
        {**SOUND, "model": "torchaudio:wav2vec2_base", "weights": "w.pt"},
        "w.pt does not hold the weights of torchaudio:wav2vec2_base",
    ),
    told(
        both(photos(), raw(b"hi", "w.pt")),
        {**IMAGE, "model": "torchvision/resnet18", "weights": "w.pt"},
        "w.pt does not hold the weights of torchvision/resnet18",
    ),
    told(PLAIN, {**TEXT, "metrics": ["word_error_rate"]}, "word_error_rate measures texts", "f1"),
    told(
        table(*(f"text {i},{i}" for i in range(40))),
        {**TEXT, "objective": "regression", "metrics": ["accuracy"]},
        "accuracy measures labels or pixels, and under this objective a model answers with numbers",
    ),
    told(PLAIN, {**TEXT, "max_lenght": 9}, 'unknown key "max_lenght"; did you mean "max_length"?'),
    told(PLAIN, {**TEXT, "data": {"pth": "own.csv"}}, 'unknown key "pth" in data', '"path"?'),
    told(
        PLAIN,
        {**TEXT, "data": {"path": "own.csv", "splits": {"vaild": 9}}},
        'unknown key "vaild" in data.splits; did you mean "valid"?',
    ),
]


@pytest.mark.parametrize(("make", "task", "says"), REFUSED)
def test_what_cannot_be_is_one_sentence(
    place: Place, make: Make, task: Mapping[str, Any], says: tuple[str, ...]
) -> None:
    needs(task["model"])
    make(place.folder)
    place.study(name="own", task=dict(task), space=SPACES[task["type"]])
    said = place.refused(2, "search", "own", "--smoke", **OFFLINE)
    assert all(part in said for part in says), said


def test_a_key_that_no_study_has(place: Place) -> None:
    place.study(name="own", task=dict(TEXT), space="text-encoder", budgte={"trials": 1})
    said = place.refused(2, "plan", "own")
    assert "own.yaml, line " in said
    assert 'unknown key "budgte"; did you mean "budget"?' in said


def test_wav_files_of_every_width_are_heard_alike(place: Place) -> None:
    needs("resemblyzer")
    sounds(widths=(1, 2, 3, 4))(place.folder)
    place.study(name="own", task=dict(SOUND), space="speech-rnn")
    ran = place("plan", "own", **OFFLINE)
    assert (ran.returncode, ran.stderr) == (0, "")
    truth = np.sin(2 * np.pi * 300 * np.arange(2400) / 8000) / 2
    for width in (1, 2, 3, 4):
        tone(place.folder / "one.wav", 0.3, width)
        heard = samples(place.folder / "one.wav", 8000).numpy()
        np.testing.assert_allclose(heard, truth, atol=max(2.0 ** (2 - 8 * width), 1e-6))


def test_texts_of_every_script_and_none(place: Place) -> None:
    """Nothing is said either: importing transformers imports torchao, of which torch complains."""
    needs("minilm")
    texts = [
        "Füße",
        "你好,世界",
        "שלום",
        "e\u0301\u200b",
        "👩‍👩‍👧",
        "\u202eback",
        "﷽",
        "\U0001d56c",
        "",
        "  ",
    ]
    rows = [*ROWS, *(f'"{text}",{"ab"[i % 2]}' for i, text in enumerate(texts))]
    table(*rows)(place.folder)
    task = {**TEXT, "data": {"path": "own.csv", "allow_empty": True}}
    place.study(name="own", task=task, space="text-encoder")
    ran = place("plan", "own", **OFFLINE)
    assert (ran.returncode, ran.stderr) == (0, "")


def needs(name: str) -> None:
    if "/" in name or ":" in name:
        return
    try:
        fetch(name)
    except FetchFailed as error:
        pytest.skip(str(error))
