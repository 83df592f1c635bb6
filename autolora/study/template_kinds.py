"""What `autolora init` knows of each modality: roles, models, search spaces, names of columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Under which names columns are found that are not called as their role.
_USUAL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "text": ("sentence", "sentence1", "review", "content", "body", "document", "comment"),
        "text_pair": ("sentence2", "hypothesis"),
        "label": ("class", "category", "target", "grade", "score", "rating", "y", "labels"),
        "words": ("tokens",),
        "tags": ("ner_tags", "pos_tags", "labels"),
        "target": ("summary", "translation", "answer", "response"),
        "prompt": ("instruction", "question", "input"),
        "image": ("file", "path", "file_name", "filename", "image_path"),
        "mask": ("mask_path", "segmentation", "label"),
        "audio": ("file", "path", "file_name", "filename", "wav", "audio_path", "clip"),
        "transcript": ("text", "sentence", "transcription"),
        "group": ("speaker", "speaker_id", "client_id", "patient", "patient_id", "author", "user"),
    }
)


@dataclass(frozen=True)
class Kind:
    """A modality.

    Attributes:
        roles: The roles that the data must have, by objective; the first objective is the usual.
        model: The model that is offered.
        models: What a model may be.
        spaces: The search spaces for it, the first that fits is taken.
        batch_size: The usual one.
    """

    roles: Mapping[str, tuple[str, ...]]
    model: str
    models: str
    spaces: tuple[str, ...]
    batch_size: int


_CODE = "or package.module:function"
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "text": Kind(
            {
                "classification": ("text", "label"),
                "multi_label": ("text", "label"),
                "regression": ("text", "label"),
                "token_classification": ("words", "tags"),
                "causal_lm": ("text",),
                "seq2seq": ("text", "target"),
            },
            "minilm",
            f"minilm, smollm2, a folder, a GGUF file, a hub id, {_CODE}.",
            ("text-encoder", "text-decoder"),
            16,
        ),
        "image": Kind(
            {
                "classification": ("image", "label"),
                "multi_label": ("image", "label"),
                "segmentation": ("image", "mask"),
            },
            "mobilenet_v2",
            f"mobilenet_v2, torchvision/NAME, timm/NAME, a folder or hub id, {_CODE}.",
            ("cnn-dense", "vit", "cnn"),
            32,
        ),
        "audio": Kind(
            {
                "classification": ("audio", "label"),
                "ctc": ("audio", "transcript"),
                "transcription": ("audio", "transcript"),
            },
            "resemblyzer",
            f"resemblyzer, whisper_tiny_en, torchaudio:NAME, a folder or hub id, {_CODE}.",
            ("speech-rnn", "speech-ctc", "speech-transformer"),
            16,
        ),
    }
)


def guessed(role: str, columns: tuple[str, ...]) -> str | None:
    """The column that a role is likely to have; None if no name is like it.

    >>> guessed("label", ("Sentence", "Grade")), guessed("text", ("id",))
    ('Grade', None)
    """
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in (role, *_USUAL.get(role, ())) if name in lower), None)
