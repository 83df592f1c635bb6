"""A language of two rules: a table of which token follows which, and copies from a distance."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VOCABULARY = 24
LENGTH = 24

Tokens = NDArray[np.int64]
Numbers = NDArray[np.float64]

_TABLE, _SEQUENCES, _CHANGED = 0, 1, 2  # purposes of a seed


@dataclass(frozen=True, eq=False)
class Language:
    """Each token copies the one `distance` before, or else follows the one just before by a table.

    A token is a copy with probability `copies` where there is one to copy; the first token is any
    of the vocabulary, all alike.

    Shapes: table (vocabulary, vocabulary); each row sums to 1.
    """

    table: Numbers
    distance: int
    copies: float = 0.4

    @property
    def digest(self) -> str:
        """A digest of its rules."""
        rules = repr((VOCABULARY, LENGTH, self.distance, self.copies)).encode()
        return hashlib.sha256(rules + self.table.tobytes()).hexdigest()

    @property
    def table_entropy(self) -> float:
        """What a token of the table tells, in nats: the entropy rate without copies.

        Source: Cover & Thomas 2006, theorem 4.2.4: the entropies of the rows, each by its share
        of the stationary distribution.
        """
        rows = -np.where(self.table > 0, self.table * np.log(np.maximum(self.table, 1e-300)), 0)
        return float(_stationary(self.table) @ rows.sum(1))


def table(seed: int, *, concentration: float = 0.1) -> Numbers:
    """A table of transitions: each row from a symmetric Dirichlet distribution.

    The lower the concentration, the fewer tokens follow a token.

    Shapes: result (vocabulary, vocabulary).
    """
    rng = _random(seed, _TABLE)
    return rng.dirichlet(np.full(VOCABULARY, concentration), size=VOCABULARY)


def renewed(rows: Numbers, changed: int, seed: int) -> Numbers:
    """A table in which some rows, drawn by the seed, are those of that seed's own table."""
    new = rows.copy()
    chosen = _random(seed, _CHANGED).permutation(VOCABULARY)[:changed]
    new[chosen] = table(seed)[chosen]
    return new


def sequences(language: Language, count: int, seed: int) -> Tokens:
    """Sequences of a language; more of the same seed do not change the law, only the draws.

    Shapes: result (count, length).
    """
    rng = _random(seed, _SEQUENCES)
    limits = language.table.cumsum(1)
    drawn = rng.random((LENGTH, count))
    copied = rng.random((LENGTH, count)) < language.copies
    tokens = np.empty((LENGTH, count), dtype=np.int64)
    tokens[0] = drawn[0] * VOCABULARY
    for place in range(1, LENGTH):
        follows = (limits[tokens[place - 1]] <= drawn[place][:, None]).sum(1)
        tokens[place] = follows.clip(max=VOCABULARY - 1)  # a row may sum to a little below 1
        if place >= language.distance:
            copies = copied[place]
            tokens[place, copies] = tokens[place - language.distance, copies]
    return np.ascontiguousarray(tokens.T)


def best_losses(language: Language, tokens: Tokens) -> Numbers:
    """The loss of each sequence under the law that made it: no model has a lower expected one.

    It is the mean over all places but the first, as the objective of language models counts, so
    its mean over many sequences estimates the entropy of a predicted token.

    Shapes: tokens (count, length); result (count,) in nats.
    Source: Cover & Thomas 2006, theorem 2.6.3 (the expected loss exceeds the entropy by the
    relative entropy, which is at least 0).
    """
    known = language.table[tokens[:, :-1], tokens[:, 1:]]
    far = language.distance
    same = tokens[:, far:] == tokens[:, :-far]
    known[:, far - 1 :] *= 1 - language.copies
    known[:, far - 1 :] += language.copies * same
    losses: Numbers = -np.log(known).mean(1)
    return losses


def _stationary(rows: Numbers) -> Numbers:
    """The distribution that a chain keeps: (vocabulary,)."""
    size = len(rows)
    equations = np.vstack((rows.T - np.eye(size), np.ones(size)))
    found: Numbers = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0]
    return found


def _random(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose,)))
