"""A corpus from raw text to shards: what is kept, kills, resumption, bad input."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from destila.corpus import shards
from destila.corpus.build_corpus import build_corpus, read_corpus_options
from destila.errors import ConfigError, DataError, TokenizerError
from destila.files import locked
from destila.tokenizer.tokenizer import Tokenizer

pytest.importorskip("rensa")

WORD_LIST = """
el la de que y en un casa niño río ciudad presidente comió visitó año frío noche guitarra pueblo
médico
"""
WORDS = WORD_LIST.split()
KILLED = """
import os, signal, sys
from destila.corpus.build_corpus import build_corpus, read_corpus_options

def progress(what, done, total):
    if what.startswith(sys.argv[2]) and done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    build_corpus(read_corpus_options([sys.argv[1]], sets=sys.argv[4:]), progress)
"""


@pytest.fixture
def tokenizer(tmp_path, wordpiece: Tokenizer) -> str:
    wordpiece.save(tmp_path / "tokenizer")
    return str(tmp_path / "tokenizer")


def paragraph(chance: random.Random, sentences: int = 6) -> str:
    return " ".join(
        " ".join(chance.choices(WORDS, k=9)).capitalize() + "." for _ in range(sentences)
    )


def near_copy(text: str) -> str:
    return text.replace("Casa", "Ciudad", 1).rstrip(".") + " ayer."


@pytest.fixture
def recipe(tmp_path, tokenizer) -> Path:
    """Two sources: 40 documents, an exact copy, a near copy, one in English, one that is short."""
    chance = random.Random(0)
    texts = ["\n".join(paragraph(chance) for _ in range(4)) for _ in range(40)]
    first = [
        *texts[:20],
        texts[3],
        "The boy ate in the house of his friends because they had no other place to go.",
    ]
    (tmp_path / "a.txt").write_text("\n\n".join(first) + "\n", encoding="utf-8")
    rows = [*texts[20:], near_copy(texts[5]), "corto"]
    (tmp_path / "b.jsonl").write_text(
        "".join(json.dumps({"text": t}) + "\n" for t in rows), encoding="utf-8"
    )
    path = tmp_path / "recipe.toml"
    path.write_text(
        f'files = ["{tmp_path / "a.txt"}", "{tmp_path / "b.jsonl"}"]\nout = "{tmp_path / "out"}"\n'
        f'tokenizer = "{tokenizer}"\npiece_characters = 3000\nshard_tokens = 1500\nworkers = 1\n',
        encoding="utf-8",
    )
    return path


def run(recipe: Path, *sets: str, **options):
    return build_corpus(read_corpus_options([str(recipe)], sets=sets), **options)


def times(folder: Path) -> dict[Path, int]:
    """When each chunk and each part of a shard was written."""
    return {
        path: path.stat().st_mtime_ns
        for pattern in ("work/*/*.npz", "*.npy")
        for path in folder.glob(pattern)
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_corpus_holds_what_is_left_and_counts_what_went(recipe, tmp_path, wordpiece):
    manifest = run(recipe)
    counts = manifest["counts"]
    assert (counts["documents"], counts["short"], counts["foreign"]) == (44, 1, 1)
    assert (counts["exact_duplicates"], counts["near_duplicates"], counts["kept_documents"]) == (
        1,
        1,
        40,
    )
    assert counts["kept_sentences"] == 40 * 4 * 6
    opened = shards.open_shards(tmp_path / "out", wordpiece)
    assert len(opened) == 40
    assert len(manifest["shards"]) > 3
    text = (tmp_path / "a.txt").read_text(encoding="utf-8").split("\n\n")[0]
    assert opened[0].tokens.tolist() == wordpiece.ids([text])[0]
    assert sum(len(document.tokens) for document in opened) == counts["kept_tokens"]


def test_duplicates_stay_when_asked_for(recipe):
    assert run(recipe, "exact=false", "near.use=false")["counts"]["kept_documents"] == 42


def test_the_result_does_not_depend_on_workers_or_place(recipe, tmp_path):
    run(recipe)
    run(recipe, "workers=2", f"out={tmp_path / 'other'}")
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


@pytest.mark.parametrize(
    ("stage", "at"), [("chunks of a", 2), ("chunks of b", 3), ("duplicates", 0), ("shards", 2)]
)
def test_a_killed_run_goes_on_to_the_same_bytes(recipe, tmp_path, stage, at):
    run(recipe, f"out={tmp_path / 'undisturbed'}")
    out, script = tmp_path / "out", tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, script, recipe, stage, str(at)], capture_output=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (out / shards.MANIFEST).is_file()
    made = times(out)
    assert made
    stages: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        stages.append(what)
        if what == "shards" and done == 0:
            assert all(path.stat().st_mtime_ns == when for path, when in made.items()), (
                "finished parts were made again"
            )

    assert run(recipe, progress=progress)["made"]
    assert ("chunks of a.txt" in stages) == (stage == "chunks of a"), (
        "a finished source is not read again"
    )
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_second_process_waits_for_the_first(recipe, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "out").mkdir()
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / "out" / "lock"):
            made = pool.submit(run, recipe)
            while "another process makes the corpus" not in caplog.text:
                assert not made.done()
                time.sleep(0.01)
            assert not list((tmp_path / "out").glob("*.npy"))
        assert made.result()["made"]
    assert not run(recipe)["made"]


def test_a_finished_corpus_is_checked_and_left_alone(recipe, tmp_path):
    run(recipe)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "work").mkdir()  # what a kill behind the manifest leaves
    (tmp_path / "out" / "work" / "a.npz").write_bytes(b"x")
    assert not run(recipe, "workers=2")["made"]
    assert contents(tmp_path / "out") == before
    with pytest.raises(ConfigError, match="made of other text or with other options"):
        run(recipe, "clean.lowercase=true")
    (tmp_path / "out" / "00000.tokens.npy").write_bytes(b"x")
    with pytest.raises(DataError, match="checksum"):
        run(recipe)


def test_other_options_do_not_use_what_a_killed_run_left(recipe, tmp_path):
    def stop(what: str, done: int, total: int) -> None:
        if what == "shards" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(recipe, progress=stop)
    run(recipe, "shard_tokens=4000")
    run(recipe, "shard_tokens=4000", f"out={tmp_path / 'other'}")
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "año\n".encode("latin-1"),
            r"b.jsonl is not utf-8: byte 1 is 0xf1. Repair the byte, or convert",
        ),
        (
            b"\x89PNG\r\n\x1a\n\x00\x00",
            r"b.jsonl is not utf-8: byte 0 is 0x89. It holds zero bytes, so it is no text",
        ),
        (
            '{"text": "a"}\n'.encode("utf-16"),
            r"b.jsonl is not utf-8: byte 0 is 0xff. .*iconv -f utf-16",
        ),
    ],
    ids=["latin-1", "binary", "utf-16"],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_source_loses_nothing_of_the_others(recipe, tmp_path, content, message, workers):
    good = (tmp_path / "b.jsonl").read_bytes()
    (tmp_path / "b.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        run(recipe, f"workers={workers}")
    (tmp_path / "b.jsonl").write_bytes(good)
    stages: list[str] = []
    run(recipe, progress=lambda what, done, total: stages.append(what))
    assert "chunks of b.jsonl" in stages
    assert "chunks of a.txt" not in stages


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n\n", "hold no text"),
        ("Hola.\n", r"no document of 1 is left \(1 short\)"),
    ],
)
def test_a_corpus_of_nothing_is_refused(tmp_path, tokenizer, content, message):
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    config = read_corpus_options(
        [str(tmp_path / "a.txt")],
        out=str(tmp_path / "out"),
        tokenizer=tokenizer,
        sets=["workers=1"],
    )
    with pytest.raises(DataError, match=message):
        build_corpus(config)


@pytest.mark.parametrize(
    ("largest", "sets"),
    [
        (3_000, ("workers=2",)),
        (12_000, ()),
        (12_000, ("near.use=false", "shard_tokens=100000")),
        (5_000, ("near.use=false",)),
    ],
    ids=["chunks", "signatures", "shards", "manifest"],
)
def test_a_full_disk_is_one_clear_error_and_nothing_is_lost(recipe, tmp_path, largest, sets):
    script = tmp_path / "full.py"
    # spawned workers import the script too, and inherit the limit
    head = "import resource, sys\nfrom destila.cli import main\nif __name__ == '__main__':\n    "
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
    limit += "    sys.argv[1:] = sys.argv[2:]\n"
    script.write_text(head + limit + "    main()\n", encoding="utf-8")
    options = [word for setting in sets for word in ("--set", setting)]
    done = [sys.executable, script, str(largest), "corpus", recipe, *options]
    ended = subprocess.run(done, capture_output=True, check=False, text=True, env=os.environ)
    assert ended.returncode == 1
    assert "free space and start again; finished parts are kept" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "out").rglob("*.tmp"))
    made = times(tmp_path / "out")
    assert bool(made) == (largest > 3_000)

    def progress(what: str, done: int, total: int) -> None:
        now = times(tmp_path / "out")
        assert all(now[path] == when for path, when in made.items()), (
            "finished parts were made again"
        )

    assert run(recipe, *sets, progress=progress)["made"]
    run(recipe, *sets, f"out={tmp_path / 'undisturbed'}")
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_a_finished_corpus_is_not_given_to_another_tokenizer(recipe, tmp_path, unigram):
    run(recipe)
    before = contents(tmp_path / "out")
    unigram.save(tmp_path / "other")
    with pytest.raises(ConfigError, match="made of other text or with other options"):
        run(recipe, f"tokenizer={tmp_path / 'other'}")
    with pytest.raises(TokenizerError, match="use that one, or make the corpus again"):
        shards.open_shards(tmp_path / "out", unigram)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray", "no address: give local, auto or HOST:PORT"),
        ("127.0.0.1:1", r"does not answer .*: start it with 'ray"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_said_at_once(recipe, address, message):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with pytest.raises(ConfigError, match=message):
        run(recipe, f"cluster={address}")


def test_bands_must_fit_the_signature(recipe):
    with pytest.raises(
        ConfigError, match=r"near.permutations = 100 cannot be cut into near.bands = 16"
    ):
        run(recipe, "near.permutations=100")
