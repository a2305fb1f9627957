"""The guide's code, run from top to bottom on the embedded demo data: a slow test, and the promise of two minutes."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import pytest

from destila.datasets import demo_intents

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "python.md"
CODE = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.slow
def test_the_guide_runs_as_it_is_written(tmp_path, monkeypatch, untrained, capsys):
    """From a file to a saved and an exported model; the five lines take less than two minutes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    data = demo_intents.load(demo_intents.Options(train=800, dev=8, test=8))
    labels = ("positivo", "negativo")
    with Path("reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["texto", "sentimiento"])
        for example in data.splits["train"]:
            writer.writerow([example.text, labels["tarjeta" in str(example.target)]])
    Path("texts.txt").write_text("Me encantó.\nNo vuelvo.\n", encoding="utf-8")
    untrained("classify", ("a", "b"), "my-teacher", layers=3, hidden=64, heads=2, ffn=128)

    names: dict[str, object] = {}
    started = time.process_time()
    exec(compile(CODE[0], "the five lines", "exec"), names)
    assert time.process_time() - started < 120
    for block in CODE[1:]:
        exec(compile(block, "the guide", "exec"), names)

    printed = capsys.readouterr().out
    assert "distilled" in printed
    assert "LabelResult(id='0', text='Me encantó.'" in printed
    assert (tmp_path / "mi-modelo" / "README.md").is_file()
    assert (tmp_path / "mi-modelo-int8" / "model.onnx").is_file()
