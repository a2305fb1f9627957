"""A tokenizer from files to a folder, by its command's options."""

from __future__ import annotations

import gzip
import json

import pytest
import zstandard

from destila.commands.tokenizer import Config, run
from destila.config import build_config, to_toml
from destila.errors import ConfigError, DataError
from destila.tokenizer.tokenizer import load_tokenizer


def config(tmp_path, **changes):
    return build_config(
        Config, {"files": [], "out": str(tmp_path / "out"), "vocab_size": 200, **changes}
    )


def test_plain_and_packed_files_become_a_tokenizer_folder(tmp_path, lines):
    text = "\n".join(lines).encode()
    (tmp_path / "a.txt").write_bytes(text)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "c.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
    files = [str(tmp_path / name) for name in ("a.txt", "b.txt.gz", "c.txt.zst")]
    seen: list[int] = []
    result = run(
        config(tmp_path, files=files), progress=lambda what, done, total: seen.append(done)
    )
    tokenizer = load_tokenizer(tmp_path / "out")
    assert (result["lines"], result["vocab"], seen[-1]) == (3 * len(lines), 200, 3 * len(lines))
    assert result["fingerprint"] == tokenizer.fingerprint
    assert result["unknown_share"] == 0
    assert 1 < result["tokens_per_word"] < 6
    json.dumps(result)


def test_files_of_rows_are_read_by_their_columns(tmp_path, lines):
    for name, column in (("a", "texto"), ("b", "cuerpo")):
        rows = "".join(json.dumps({column: line, "id": "zzz"}) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(rows, encoding="utf-8")
    (tmp_path / "plain.txt").write_text("\n".join(lines), encoding="utf-8")
    both = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    made = run(config(tmp_path, files=both, column=["texto", "cuerpo"]))["fingerprint"]
    assert made == run(config(tmp_path, files=[str(tmp_path / "plain.txt")] * 2))["fingerprint"]
    with pytest.raises(ConfigError, match="column names 2 fields for 3 files"):
        run(config(tmp_path, files=[*both, both[0]], column=["texto", "cuerpo"]))


def test_the_limit_counts_lines_over_all_files(tmp_path, lines):
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    files = [str(tmp_path / "a.txt")] * 2
    assert run(config(tmp_path, files=files, limit=len(lines) + 3))["lines"] == len(lines) + 3


def test_a_sample_is_drawn_from_all_lines_and_the_same_again(tmp_path, lines):
    """All lines are read and some are held; equal lines give an equal tokenizer."""
    (tmp_path / "a.txt").write_text("\n".join(lines * 3), encoding="utf-8")
    files = [str(tmp_path / "a.txt")]
    seen: list[int] = []
    results = [
        run(
            config(tmp_path, files=files, sample=len(lines)),
            lambda what, done, _: seen.append(done),
        )
        for _ in range(2)
    ]
    assert results[0]["lines"] == 3 * len(lines) == seen[-1]
    assert results[0]["lines_drawn"] == len(lines)
    assert results[0]["fingerprint"] == results[1]["fingerprint"]
    first = run(config(tmp_path, files=files, limit=len(lines)))
    assert first["fingerprint"] != results[0]["fingerprint"], "not the first lines"
    whole = run(config(tmp_path, files=files))
    all_drawn = run(config(tmp_path, files=files, sample=10**6))
    assert all_drawn["fingerprint"] == whole["fingerprint"]


def test_a_missing_file_is_noticed_before_any_is_read(tmp_path, lines):
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"nada\.txt"):
        run(config(tmp_path, files=[str(tmp_path / "a.txt"), str(tmp_path / "nada.txt")]))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": []}, "files is empty"),
        ({"symbols": ["ab"]}, "symbols holds 'ab'"),
        ({"symbols": [" "]}, "symbols holds ' '"),
    ],
)
def test_bad_options_are_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(config(tmp_path, **{"files": ["a.txt"], **changes}))


def test_an_unknown_kind_is_refused_with_its_key(tmp_path):
    with pytest.raises(ConfigError, match="kind"):
        config(tmp_path, kind="bpee")


def test_every_field_is_written_with_its_help(tmp_path):
    toml = to_toml(config(tmp_path))
    assert all("  # " in line for line in toml.splitlines())
    assert len(toml.splitlines()) == len(Config.model_fields)
