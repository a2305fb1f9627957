"""Everything of a study read again, and what is damaged named."""

from __future__ import annotations

import pytest

from destila.commands import verify
from destila.errors import ConfigError
from destila.teachers.cache import teacher_cache_root
from tests.fixtures.studies import run_recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fast_testing")]


def flip(path) -> None:
    """Turn one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_a_turned_bit_is_found_wherever_it_is(tiny, tmp_path):
    """In weights, in the rows of a teacher's cache and in records; the rest is read and whole."""
    run_recipe(tiny(), "train.epochs=1")
    study = tmp_path / "runs" / "tiny"
    config = verify.Config(study=str(study))
    whole = verify.run(config)
    assert whole["failed"] == []
    kinds = [row["what"] for row in whole["rows"]]
    assert kinds == ["recipe", "records", *["model"] * 3, *["tokenizer"] * 2, "teacher cache"]
    assert verify.show(whole)["lines"] == ["8 read, 0 damaged"]

    (cache,) = teacher_cache_root().iterdir()
    weights = study / "students" / "student-distilled-s0" / "best" / "model.safetensors"
    flip(weights)
    flip(cache / "rows.bin")
    (study / "record.jsonl").write_text("{")
    told = verify.run(config)["failed"]
    assert len(told) == 3
    assert str(study / "record.jsonl") in told[0]
    assert "other bytes than were written: destila run makes it again" in told[1]
    assert "delete folder" in told[2]


def test_a_folder_that_is_no_study_is_an_error(tmp_path):
    """Its message says what is missing."""
    with pytest.raises(ConfigError, match=r"it has no recipe\.toml"):
        verify.run(verify.Config(study=str(tmp_path)))
