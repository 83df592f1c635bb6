"""The language of Tier 0 keeps its two rules, and its bound is that of its own law."""

import numpy as np
import pytest

from benchmarks.search.language import (
    LENGTH,
    VOCABULARY,
    Language,
    Numbers,
    Tokens,
    best_losses,
    sequences,
    table,
)

COUNT = 4_000


@pytest.fixture(scope="module")
def language() -> Language:
    return Language(table(3), distance=5)


@pytest.fixture(scope="module")
def tokens(language: Language) -> Tokens:
    return sequences(language, COUNT, seed=1)


def test_a_table_has_rows_of_probabilities() -> None:
    rows = table(3)
    assert rows.shape == (VOCABULARY, VOCABULARY)
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-12)


def test_equal_seeds_give_equal_draws_and_others_do_not(language: Language) -> None:
    first = sequences(language, 50, seed=1)
    assert first.shape == (50, LENGTH)
    assert np.array_equal(first, sequences(language, 50, seed=1))
    assert not np.array_equal(first, sequences(language, 50, seed=2))
    assert np.array_equal(table(3), table(3))
    assert not np.array_equal(table(3), table(4))


def test_without_copies_tokens_follow_the_table() -> None:
    rows = table(3)
    tokens = sequences(Language(rows, 5, copies=0.0), COUNT, seed=1)
    counts = np.zeros((VOCABULARY, VOCABULARY))
    np.add.at(counts, (tokens[:, :-1], tokens[:, 1:]), 1)
    seen = counts.sum(1, keepdims=True)
    far = np.abs(counts / seen - rows) / np.sqrt(np.maximum(rows, 1 / seen) / seen)
    assert far.max() < 6  # standard errors, over 576 probabilities


def test_tokens_repeat_at_the_distance_of_copies_more_than_at_any_other(tokens: Tokens) -> None:
    repeats = [(tokens[:, far:] == tokens[:, :-far]).mean() for far in range(1, 12)]
    assert int(np.argmax(repeats)) + 1 == 5
    assert repeats[4] > 0.4


def test_the_best_losses_are_those_of_the_law_itself(language: Language, tokens: Tokens) -> None:
    row = tokens[0]
    total = 0.0
    for place in range(1, LENGTH):
        chance = language.table[row[place - 1], row[place]]
        if place >= language.distance:
            copied = row[place] == row[place - language.distance]
            chance = language.copies * copied + (1 - language.copies) * chance
        total -= np.log(chance)
    assert best_losses(language, tokens[:1])[0] == pytest.approx(total / (LENGTH - 1))


def test_without_copies_the_best_loss_is_the_entropy_of_the_table() -> None:
    language = Language(table(3), 5, copies=0.0)
    losses = best_losses(language, sequences(language, COUNT, seed=1))
    error = losses.std() / np.sqrt(COUNT)
    # The first token is drawn evenly and not from the stationary distribution: a little apart.
    assert losses.mean() == pytest.approx(language.table_entropy, abs=4 * error + 0.03)


@pytest.mark.parametrize(
    ("rows", "distance", "copies"), [(table(3), 6, 0.4), (table(4), 5, 0.4), (table(3), 5, 0.2)]
)
def test_no_other_law_has_a_lower_loss(
    language: Language, tokens: Tokens, rows: Numbers, distance: int, copies: float
) -> None:
    other = Language(0.99 * rows + 0.01 / VOCABULARY, distance, copies)  # nothing is impossible
    assert best_losses(other, tokens).mean() > best_losses(language, tokens).mean()
