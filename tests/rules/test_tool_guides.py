"""The guides of other tools: their code runs as it is written, on models that nobody trained."""

from __future__ import annotations

import re

import pytest

from tests.adapters.conftest import folder_of  # noqa: F401
from tests.rules.conftest import ROOT

GUIDES = {"spacy": "spacy", "presidio": "presidio_analyzer", "sklearn": "sklearn"}


def code_of(name: str) -> list[str]:
    """Return the blocks of Python of a guide."""
    text = (ROOT / "docs" / "guide" / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_a_guide_runs_as_it_is_written(name, folder_of, untrained, tmp_path, monkeypatch, capsys):  # noqa: F811
    pytest.importorskip(GUIDES[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_MODELS", str(tmp_path))
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "es-ner").symlink_to(folder_of("tag"))
    untrained("classify", ("1", "5"), "my-teacher", layers=3)
    blocks = code_of(name)
    assert len(blocks) > 1
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, f"{name}.md", "exec"), names)
    assert capsys.readouterr().out.strip()
