"""Spanish: short sentences and names, read aloud, with what is said."""

import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from autolora.data.assets import fetch, folder
from autolora.data.placing import file_digest
from autolora.data.table import Table
from autolora.errors import MissingExtra

ABOUT = "Spanish clips under 4 s of Tux Paint and Asterisk; audio, transcript, group (sentence)"

_SECONDS = 4
_LETTERS_A_SECOND = 30  # where there are more, the clip says less than its text
_SUFFIX = "_desc_es.ogg"

Clips = Iterator[tuple[Path, str]]


@cache
def tables() -> Table:
    """The clips; a recording that is there twice is used once.

    The letters of a sentence are its group, so that no sentence of test is heard in training.

    Source: Debian's `tuxpaint-stamps-default`, `asterisk-core-sounds-es` and its wav files.

    Raises:
        MissingExtra: if soundfile is not installed.
    """
    distinct: dict[str, tuple[Path, str]] = {}
    for file, said in (*_stamps(), *_prompts()):
        seconds = _seconds(file)
        if len(said) / _LETTERS_A_SECOND < seconds < _SECONDS:
            distinct.setdefault(file_digest(file), (file, said))
    files, texts = zip(*distinct.values(), strict=True)
    groups = [_letters(text) for text in texts]
    return Table({"audio": files, "transcript": texts, "group": groups}, "spanish")


def _stamps() -> Clips:
    """The names of Tux Paint's stamps; a text file beside each has them in many languages."""
    for file in sorted(folder("tuxpaint").rglob(f"*{_SUFFIX}")):
        beside = file.with_name(file.name.removesuffix(_SUFFIX) + ".txt")
        for line in beside.read_text(encoding="utf-8").splitlines():
            if line.startswith("es.utf8="):
                yield file, line.removeprefix("es.utf8=").strip()


def _prompts() -> Clips:
    """Asterisk's prompts, but for noises, whose text stands in brackets."""
    place = folder("asterisk_es_wav")
    lines = gzip.decompress(fetch("asterisk_es").read_bytes()).decode("utf-8").splitlines()
    for line in lines:
        name, found, text = line.partition(": ")
        file = place / f"{name}.wav"
        if found and not set("[(") & set(text) and file.is_file():
            yield file, text.strip()


def _seconds(file: Path) -> float:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtra("the data set spanish", "soundfile", "speech") from error
    return float(soundfile.info(file).duration)


def _letters(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
