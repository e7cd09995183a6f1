"""The n-gram baseline: a distribution, the published formula, and as good as such models get."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from genfast.data import NGram, Vocabulary, pydoc_topics, split_tokens


def random_tokens(classes: int, length: int, seed: int) -> torch.Tensor:
    """Symbols with a skew, so that counts of 1, 2, 3 and more all occur."""
    u = torch.rand(length, generator=torch.Generator().manual_seed(seed))
    return (u**3 * classes).long()


@pytest.mark.parametrize(("classes", "order"), [(1, 1), (2, 5), (17, 2), (17, 3), (129, 4)])
def test_probabilities_sum_to_one(classes: int, order: int) -> None:
    model = NGram(random_tokens(classes, 500, seed=order), classes, order)
    for context in random_tokens(classes, 80, seed=99).view(-1, 8):
        rows = [torch.cat([context, torch.tensor([c])]) for c in range(classes)]
        p = [model.probabilities(row)[-1] for row in rows]
        assert min(p) > 0
        assert math.fsum(p) == pytest.approx(1, abs=1e-12)


def test_it_is_modified_kneser_ney() -> None:
    """Order 2, counted with dictionaries from the formulas of Chen and Goodman."""
    tokens = random_tokens(6, 400, seed=1).tolist()
    pairs = Counter(pairwise(tokens))
    before = Counter(b for _, b in pairs)  # different symbols seen before b

    def discount(counts: Counter[object]) -> list[float]:
        n = Counter(counts.values())
        n1, n2, n3, n4 = (max(1, n[k]) for k in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        d = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        return [0.0, *(min(max(x, 0.1), k - 0.1) for k, x in enumerate(d, start=1))]

    high, low = discount(Counter(pairs)), discount(Counter(before))

    def unigram(b: int) -> float:
        taken = sum(low[min(c, 3)] for c in before.values())
        return (before[b] - low[min(before[b], 3)] + taken / 6) / len(pairs)

    def bigram(a: int, b: int) -> float:
        of_a = {pair: c for pair, c in pairs.items() if pair[0] == a}
        taken = sum(high[min(c, 3)] for c in of_a.values())
        count = pairs[a, b]
        return (count - high[min(count, 3)] + taken * unigram(b)) / sum(of_a.values())

    model = NGram(torch.tensor(tokens), 6, 2)
    for a in sorted({a for a, _ in pairs}):
        for b in range(6):
            got = model.probabilities(torch.tensor([a, b]))
            np.testing.assert_allclose(got, [unigram(a), bigram(a, b)], rtol=1e-12)


def test_every_symbol_sees_what_stands_before_it_alone() -> None:
    model = NGram(random_tokens(5, 300, seed=2), 5, 4)
    tokens = random_tokens(5, 40, seed=3)
    whole = model.probabilities(tokens)
    for k in (1, 2, 3, 17):
        np.testing.assert_array_equal(model.probabilities(tokens[:k]), whole[:k])


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("before", [0, 1, 3, 30])
def test_context_is_read_and_not_counted(order: int, before: int) -> None:
    model = NGram(random_tokens(5, 300, seed=2), 5, order)
    tokens = random_tokens(5, 60, seed=4)
    bits = model.bits_per_symbol(tokens[before:], context=tokens[:before])
    expected = -np.log2(model.probabilities(tokens)[before:]).mean()
    assert bits == pytest.approx(expected, rel=1e-12)


def test_bits_on_english() -> None:
    """A 5-gram is clearly better than a 3-gram, and where such models are on this text."""
    text = pydoc_topics()
    vocabulary = Vocabulary.of(text)
    train, held = split_tokens(vocabulary.encode(text))
    bits = {
        order: NGram(train, len(vocabulary), order).bits_per_symbol(held, context=train)
        for order in (1, 3, 5)
    }
    assert bits[1] > bits[3] + 1 > bits[5] + 1.4
    assert 1.5 < bits[5] < 1.95


@pytest.mark.parametrize(
    ("tokens", "classes", "order"),
    [
        (torch.zeros(10), 2, 2),
        (torch.zeros(2, 5, dtype=torch.int64), 2, 2),
        (torch.tensor([0, 1, 2]), 2, 2),
        (torch.tensor([0, -1, 1]), 2, 2),
        (torch.tensor([0]), 2, 2),
        (torch.tensor([0, 1]), 2, 0),
        (torch.tensor([0, 1]), 2**16, 4),
    ],
)
def test_bad_input_is_refused(tokens: torch.Tensor, classes: int, order: int) -> None:
    with pytest.raises(ValueError, match="NGram: "):
        NGram(tokens, classes, order)


def test_no_symbol_has_no_mean() -> None:
    model = NGram(torch.tensor([0, 1]), 2, 2)
    with pytest.raises(ValueError, match="at least one symbol"):
        model.bits_per_symbol(torch.zeros(0, dtype=torch.int64))
