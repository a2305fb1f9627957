"""Names become folders, without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from destila.errors import ModelError
from destila.hub import resolve, spellings


def cached(home: Path, name: str, files: dict[str, str]) -> None:
    """A repository in a local hub cache, in the layout that huggingface_hub keeps."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for file, content in files.items():
        blob = repository / "blobs" / file
        blob.parent.mkdir(exist_ok=True)
        blob.write_text(content)
        (snapshot / file).symlink_to(blob)


def offline(home: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own: the hub library reads its settings once, when imported."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("HF_HUB_CACHE", "DESTILA_MODELS")
    }
    environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("CenIA/albert-tiny-spanish", "dccuchile/albert-tiny-spanish"),
        ("PlanTL-GOB-ES/roberta-large-bne", "BSC-LT/roberta-large-bne"),
        ("dccuchile/albert-tiny-spanish", "CenIA/albert-tiny-spanish"),
        ("CenIA/distillbert-base-spanish-uncased", "dccuchile/distilbert-base-spanish-uncased"),
        (
            "dccuchile/distilbert-base-spanish-uncased-finetuned-ner",
            "CenIA/distillbert-base-spanish-uncased-finetuned-ner",
        ),
        (
            "dccuchile/albert-base-4-spanish-finetuned-ner",
            "dccuchile/albert-base-4-spanish-distilled-ner",
        ),
        (
            "dccuchile/albert-base-10-spanish-distilled-qa-tar",
            "dccuchile/albert-base-10-spanish-finetuned-qa-tar",
        ),
        ("josecannete/albert-base-spanish-6", "dccuchile/albert-base-6-spanish"),
    ],
)
def test_both_published_spellings_are_known(name, other):
    found = spellings(name)
    assert found[0] == name
    assert other in found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (
            "dccuchile/albert-tiny-spanish-finetuned-ner",
            "dccuchile/albert-tiny-spanish-distilled-ner",
        ),
        (
            "dccuchile/albert-base-spanish-finetuned-ner",
            "dccuchile/albert-base-spanish-distilled-ner",
        ),
        ("alguien/distilbert-x", "alguien/distillbert-x"),
    ],
)
def test_different_models_are_never_taken_for_each_other(name, other):
    assert other not in spellings(name)


def test_an_existing_folder_is_itself(tmp_path):
    assert resolve(tmp_path) == tmp_path
    assert resolve(str(tmp_path)) == tmp_path


def test_the_models_folder_is_searched_in_every_spelling(tmp_path, monkeypatch):
    """A name is looked up under DESTILA_MODELS in each of its spellings."""
    monkeypatch.setenv("DESTILA_MODELS", str(tmp_path))
    (tmp_path / "mini").mkdir()
    (tmp_path / "dccuchile" / "albert-base-4-spanish-distilled-ner").mkdir(parents=True)
    assert resolve("mini") == tmp_path / "mini"
    found = resolve("CenIA/albert-base-4-spanish-finetuned-ner")
    assert found == tmp_path / "dccuchile" / "albert-base-4-spanish-distilled-ner"


@pytest.mark.parametrize("name", ["./runs/nada", "a/b/c", "/no/such/folder", "una frase"])
def test_what_cannot_be_a_hub_name_is_refused_without_a_network(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DESTILA_MODELS", raising=False)
    with pytest.raises(ModelError, match="not a hub name"):
        resolve(name)


def test_an_empty_name_is_not_the_current_folder():
    with pytest.raises(ModelError, match="empty"):
        resolve("")


def test_a_file_is_not_a_model(tmp_path):
    (tmp_path / "model.safetensors").write_text("x")
    with pytest.raises(ModelError, match="is a file"):
        resolve(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "asked",
    ["dccuchile/albert-base-4-spanish-distilled-ner", "CenIA/albert-base-4-spanish-finetuned-ner"],
)
def test_a_local_hub_cache_is_used_offline_in_either_spelling(tmp_path, bpe, asked):
    bpe.save(tmp_path / "t")
    files = {p.name: p.read_text(encoding="utf-8") for p in (tmp_path / "t").iterdir()}
    cached(
        tmp_path,
        "dccuchile/albert-base-4-spanish-finetuned-ner",
        {**files, "model.safetensors": "", "config.json": "{}"},
    )
    code = (
        "from destila.hub import resolve; from destila.tokenizer.tokenizer import load_tokenizer\n"
        f"print(resolve({asked!r}).parent.parent.name); print(load_tokenizer({asked!r}).fingerprint)"
    )
    done = offline(tmp_path, code)
    expected = ["models--dccuchile--albert-base-4-spanish-finetuned-ner", bpe.fingerprint]
    assert done.stdout.split() == expected, done.stderr


def test_old_weights_serve_where_there_are_no_others(tmp_path):
    """Weights in the .bin format are fetched only where there are no safetensors."""
    cached(tmp_path, "grupo/viejo", {"config.json": "{}", "pytorch_model.bin": "x"})
    code = "from destila.hub import resolve; print(sorted(p.name for p in resolve('grupo/viejo').iterdir()))"
    assert offline(tmp_path, code).stdout.strip() == "['config.json', 'pytorch_model.bin']"


def test_a_name_missing_offline_says_how_to_get_it(tmp_path):
    code = (
        "from destila.errors import ModelError\nfrom destila.hub import resolve\n"
        "try:\n    resolve('CenIA/albert-tiny-spanish')\nexcept ModelError as error:\n    print(error)"
    )
    said = offline(tmp_path, code).stdout
    assert "dccuchile/albert-tiny-spanish" in said
    assert "unset HF_HUB_OFFLINE" in said
    assert len(said.strip().splitlines()) == 1


def test_a_model_that_was_taken_down_says_what_is_left(tmp_path):
    done = offline(
        tmp_path, "from destila.hub import resolve; resolve('PlanTL-GOB-ES/roberta-base-bne')"
    )
    assert "RoBERTa-BNE was taken down by its organisations" in done.stderr
    assert "BSC-LT/roberta-base-bne" in done.stderr
    assert "dccuchile/roberta-base-bne-finetuned-ner" in done.stderr
