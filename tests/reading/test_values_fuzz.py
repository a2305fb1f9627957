"""Every reader of strangers' files, fed with files near valid ones: an answer, or an error of ours.

`make fuzz` gives each target 60 seconds of processor (`DESTILA_FUZZ_SECONDS`, first seed
`DESTILA_FUZZ_SEED`); the suite tries a few fixed examples of each.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis.strategies import SearchStrategy

from destila.errors import DestilaError
from tests.reading.mutations import changed_bytes, changed_json
from tests.reading.packed_readers import PACKED_READERS
from tests.reading.readers import READERS as PLAIN_READERS
from tests.reading.readers import Reader

READERS = PLAIN_READERS | PACKED_READERS
SECONDS = float(os.environ.get("DESTILA_FUZZ_SECONDS", "0"))
FIRST_SEED = int(os.environ.get("DESTILA_FUZZ_SEED", "1"))
FEW = 25
_CALM = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which every example writes its file anew."""
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_reader_answers_or_refuses(name, folder, request):
    reader: Reader = READERS[name](folder / name, request.getfixturevalue)
    files = changed_bytes(reader.files)
    if reader.values:
        files = files | changed_json(reader.values)
    files = files.map(reader.wrap)

    counts: Counter[str] = Counter()
    if not SECONDS:
        _run(reader, files, counts, settings(max_examples=FEW, derandomize=True, **_CALM))
    # Seconds of the processor: a clock says nothing on a machine that is busy.
    end = time.process_time() + SECONDS
    for number in itertools.count(FIRST_SEED):
        if time.process_time() >= end:
            break
        _run(reader, files, counts, settings(max_examples=200, **_CALM), number)
    sys.stdout.write(f"{name}: {json.dumps(counts)}\n")
    assert counts["read"] + counts["refused"] >= FEW


def _run(
    reader: Reader,
    files: SearchStrategy[bytes],
    counts: Counter[str],
    how: settings,
    number: int | None = None,
) -> None:
    """Feed a reader with examples; an error that is none of ours ends the test."""

    def feed(data: bytes) -> None:
        note(f"seed {number}")
        reader.path.write_bytes(data)
        try:
            reader.read()
        except DestilaError:
            counts["refused"] += 1
        else:
            counts["read"] += 1

    test: Callable[[], Any] = how(given(data=files)(feed))
    (test if number is None else seed(number)(test))()
