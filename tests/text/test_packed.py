"""Windows in a file are the windows that were put there."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from destila.text import packed
from destila.types import Encoded, Example, Features

EXAMPLES = [Example(str(i), "x" * i) for i in range(2500)]


def window(row: int, number: int, n: int) -> Features:
    """A window of example `n` with other numbers in every array; every second example is a question."""
    question, length = n % 2 == 0, 3 + n % 5
    ids = np.arange(length, dtype=np.int32) + 7 * n
    units = max(1, length - 2)
    return Features(
        row=row,
        window=number,
        input_ids=ids,
        type_ids=ids % 2,
        spans=np.stack([ids, ids + 3], 1),
        unit=ids - 1,
        start=n + 4,
        owned=np.arange(units) % 3 > 0,
        target=np.array([3, 4] if question else ids[:units], np.int32),
        cells=ids[:units] + 9 if question else None,
        planned=(n, n + 5) if question else (0, 0),
    )


def encode(examples):
    """An encoder with one or two windows per example, of several lengths."""
    found = []
    for row, example in enumerate(examples):
        n = int(example.id)
        found += [window(row, w, n) for w in range(1 + (n % 7 == 0))]
    return Encoded(found, {"windows": len(found)})


def same(one: Features, other: Features) -> bool:
    for field in fields(Features):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or a.shape != b.shape or not (a == b).all():
                return False
        elif a != b:
            return False
    return True


def test_packed_windows_are_equal_to_those_of_one_pass(tmp_path):
    whole, kept = encode(EXAMPLES), packed.pack(encode, EXAMPLES, tmp_path)
    assert len(kept.features) == len(whole.features) > packed._CHUNK
    assert all(same(a, b) for a, b in zip(kept.features, whole.features, strict=True))
    assert same(kept.features[-1], whole.features[-1])
    assert [f.row for f in kept.features[3:6]] == [f.row for f in whole.features[3:6]]
    assert kept.notes == whole.notes


def test_windows_are_pages_of_a_file_without_a_name(tmp_path):
    kept = packed.pack(encode, EXAMPLES[:4], tmp_path)
    base = kept.features[0].input_ids
    while isinstance(base, np.ndarray) and base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap) or type(base).__name__ == "mmap"
    assert not list(tmp_path.iterdir())


def test_no_examples_are_no_windows(tmp_path):
    kept = packed.pack(encode, [], tmp_path)
    assert list(kept.features) == []
    with pytest.raises(IndexError):
        kept.features[0]
