"""A tiny decoder, trained on the spot on one language, and kept in the cache."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.artifacts.files import write_bytes
from autolora.data.assets import cache_folder
from autolora.training.schedule import share
from autolora.training.seeds import seeded
from autolora.training.tokens import token_losses
from benchmarks.search.language import LENGTH, VOCABULARY, Language, sequences, table

BASE_DISTANCE = 4
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shape:
    """How large the decoder is."""

    width: int = 64
    blocks: int = 4
    heads: int = 4
    inner: int = 128


@dataclass(frozen=True)
class Recipe:
    """All the numbers that decide the weights of the base."""

    shape: Shape = field(default_factory=Shape)
    language: int = 0  # the seed of its table
    distance: int = BASE_DISTANCE
    steps: int = 800
    batch_size: int = 32
    learning_rate: float = 4e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0
    version: int = 1  # of the code: another one trains the base anew

    @property
    def digest(self) -> str:
        """A digest of the numbers, those of the language among them."""
        content = json.dumps([asdict(self), self.speaks().digest])
        return hashlib.sha256(content.encode()).hexdigest()

    def speaks(self) -> Language:
        """The language that the base knows."""
        return Language(table(self.language), self.distance)


class Block(nn.Module):
    """Causal attention and an MLP, each behind a norm, with six linear layers of their own."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, shape.inner), nn.Linear(shape.inner, width)

    def forward(self, states: Tensor) -> Tensor:
        """The states after the block.

        Shapes: states and result (batch, places, width).
        """
        read = self.attention_norm(states)
        query, key, value = (
            self._apart(layer(read)) for layer in (self.query, self.key, self.value)
        )
        heard = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        states = states + self.out(heard.transpose(1, 2).flatten(2))
        widened: Tensor = self.down(F.gelu(self.up(self.mlp_norm(states))))
        return states + widened

    def _apart(self, states: Tensor) -> Tensor:
        """(batch, places, width) to (batch, heads, places, width / heads)."""
        batch, places, width = states.shape
        return states.view(batch, places, self.heads, width // self.heads).transpose(1, 2)


class Decoder(nn.Module):
    """Tokens to scores of the next token; nothing is tied.

    Shapes: forward takes (batch, places) of int64 and gives (batch, places, vocabulary).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, shape.width)
        self.places = nn.Embedding(LENGTH, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width)
        self.scores = nn.Linear(shape.width, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        """The scores of the token that follows each place."""
        states: Tensor = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        for block in self.blocks:
            states = block(states)
        scores: Tensor = self.scores(self.norm(states))
        return scores


def base(recipe: Recipe | None = None) -> Decoder:
    """A fresh decoder with the weights of a recipe: trained once, then out of the cache.

    Raises:
        StorageUnavailable: if the cache cannot be written.
    """
    recipe = recipe or Recipe()
    with seeded(recipe.seed, _CPU):
        model = Decoder(recipe.shape)
    model.load_state_dict(weights(recipe))
    return model


@cache
def weights(recipe: Recipe) -> Mapping[str, Tensor]:
    """The weights of a base by name; they are not to be changed in place."""
    place = cache_folder() / "prepared" / f"decoder-{recipe.digest[:16]}.safetensors"
    try:
        return load(place.read_bytes())
    except (OSError, SafetensorError):  # missing, or cut off
        write_bytes(place, save(pretrained(recipe)))
    return load(place.read_bytes())


def weights_digest(recipe: Recipe) -> str:
    """A digest of the weights themselves: other machines may come to other bits."""
    return hashlib.sha256(save(dict(weights(recipe)))).hexdigest()


@torch.inference_mode(mode=False)  # it may be asked for first in the midst of an evaluation
@torch.enable_grad()
def pretrained(recipe: Recipe) -> dict[str, Tensor]:
    """Trains a decoder on the language of a recipe; every batch is new."""
    drawn = sequences(recipe.speaks(), recipe.steps * recipe.batch_size, recipe.seed)
    with seeded(recipe.seed, _CPU):
        model = Decoder(recipe.shape).train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)
    for step, batch in enumerate(torch.split(torch.from_numpy(drawn), recipe.batch_size)):
        rate = recipe.learning_rate * share(step, recipe.steps, recipe.warmup)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = token_losses(model(batch)[:, :-1], batch[:, 1:]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
