"""A real notebook: the table with its chart, and that a bar is drawn."""

from __future__ import annotations

import pytest

from destila.records import append_record
from tests.fixtures.toy_records import toy_record

CELLS = [
    """
from pathlib import Path
from destila.objects.finished_study import StudyTable
from destila.progress import bar
from destila.records import read_records
with bar(False) as progress:
    for step in range(4):
        progress("teacher", step, 3)
""",
    "StudyTable(read_records(Path('record.jsonl')))",
]


@pytest.mark.slow
def test_a_notebook_shows_table_chart_and_bar(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    notebooks = pytest.importorskip("nbformat").v4
    pytest.importorskip("ipykernel")
    append_record(tmp_path / "record.jsonl", toy_record("distilled", 3))
    notebook = notebooks.new_notebook(cells=[notebooks.new_code_cell(each) for each in CELLS])
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, resources=place, kernel_name="python3").execute()
    drawn, (table,) = notebook.cells[0].outputs, notebook.cells[1].outputs
    assert "<td>75.0</td>" in table["data"]["text/html"]
    assert table["data"]["text/html"].count("<svg") == 1
    assert "75.0" in table["data"]["text/plain"]
    assert any("text/html" in output.get("data", {}) for output in drawn)
