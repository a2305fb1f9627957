"""Which documents repeat an earlier one, whatever the size of what is held in memory."""

from __future__ import annotations

import numpy as np
import pytest

from destila.corpus import dedup
from destila.corpus.chunks import MinHash


@pytest.mark.parametrize("held", [3, 10, 1000])
def test_a_document_with_an_earlier_hash_is_repeated(held):
    chance = np.random.default_rng(1)
    hashes = chance.integers(0, 2**64, 40, dtype=np.uint64)[chance.integers(0, 40, 100)]
    hashes[[0, 50, 99]] = [2**64 - 1, 2**64 - 1, 0]
    seen: set[int] = set()
    expected = [h in seen or seen.add(h) is not None for h in hashes.tolist()]
    repeated = dedup.exact_duplicates(lambda: iter(np.array_split(hashes, 7)), 100, held=held)
    assert repeated.tolist() == expected
    assert 20 < repeated.sum() < 90


@pytest.mark.parametrize("held", [4, 1000])
def test_only_documents_alike_enough_go_and_the_first_stays(tmp_path, held):
    near = MinHash(permutations=32, bands=8, threshold=0.75)
    chance = np.random.default_rng(2)
    rows = chance.integers(0, 2**32, (20, 32), dtype=np.uint32)
    rows[7] = rows[3]
    rows[12] = rows[3]
    rows[12, :8] = 1  # 24 of 32: exactly the threshold
    rows[15] = rows[4]
    rows[15, :12] = 2  # shares bands, but too few numbers
    rows[18] = rows[9]
    left = np.ones(20, bool)
    left[9] = False  # an exact duplicate, gone already
    repeated = dedup.near_duplicates(
        lambda: iter(np.array_split(rows, 3)), left, near, tmp_path, held=held
    )
    assert np.flatnonzero(repeated).tolist() == [7, 12]
    assert not list(tmp_path.iterdir())
