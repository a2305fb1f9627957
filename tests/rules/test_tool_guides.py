"""The guides of other tools: their code runs as it is written, on models that nobody trained."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest

from destila.exporting.wheel import write_wheel
from tests.adapters.conftest import folder_of  # noqa: F401
from tests.rules.conftest import ROOT

GUIDES = {
    "spacy": "spacy",
    "presidio": "presidio_analyzer",
    "sklearn": "sklearn",
    "given-labels": "torch",
    "wheels": "destila",
}


def code_of(name: str) -> list[str]:
    """Return the blocks of Python of a guide."""
    text = (ROOT / "docs" / "guide" / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def write_reviews(folder: Path) -> None:
    """Write reviews with gold labels, and what somebody else said of them: a file for each."""
    rows = [(f"Reseña {i}: {('mal', 'bien')[i % 2]}", i % 2) for i in range(210)]
    table = "".join(f"{text},{label}\n" for text, label in rows)
    (folder / "reviews.csv").write_text(f"texto,sentimiento\n{table}", encoding="utf-8")
    given = ({"text": text, "probabilities": {str(label): 0.9}} for text, label in rows)
    lines = "".join(json.dumps(row) + "\n" for row in given)
    (folder / "labels.jsonl").write_text(lines, encoding="utf-8")


def test_the_guide_of_the_taggers_runs_as_it_is_written(capsys):
    """On the models themselves, as the set-up installs them."""
    pytest.importorskip("spacy")
    names: dict[str, object] = {}
    for block in code_of("destila-es"):
        exec(compile(block, "destila-es.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("Begoña Núñez PER ")
    assert "('vio', 'VERB')" in printed
    assert "('Zaragoza', 'LOC')" in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GUIDES))
def test_a_guide_runs_as_it_is_written(name, folder_of, untrained, tmp_path, monkeypatch, capsys):  # noqa: F811
    pytest.importorskip(GUIDES[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_MODELS", str(tmp_path))
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "es-ner").symlink_to(folder_of("tag"))
    untrained("classify", ("1", "5"), "my-teacher", layers=3)
    write_reviews(tmp_path)
    if name == "wheels":
        about = {"name": "es_reviews", "version": "1.0", "card": "# x\n", "summary": "x"}
        wheel = write_wheel(folder_of("classify"), tmp_path / "dist", **about)
        zipfile.ZipFile(wheel).extractall(tmp_path / "site")
        monkeypatch.syspath_prepend(tmp_path / "site")

    blocks = code_of(name)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, f"{name}.md", "exec"), names)
    assert capsys.readouterr().out.strip()
