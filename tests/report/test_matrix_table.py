"""The published table: its own means come out, ours stand beside it, what was not run is blank."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from destila.matrix.matrix import read_matrix
from destila.matrix.report_matrix import report_matrix
from destila.report import reference
from destila.report.matrix_table import MatrixTable, TableCell, write_matrix_report
from tests.fixtures.toy_records import toy_record

FOLDER = Path(__file__).parents[2] / "recipes" / "published"


def cell(model, column, dataset, scores, **values):
    """A cell of the slides' table."""
    return TableCell(
        model=model,
        column=column,
        training="finetuned",
        published=(model, dataset),
        scores=scores,
        **values,
    )


@pytest.fixture
def table():
    """Two models on two data sets, one cell of which was run with two seeds."""
    run = replace(
        toy_record("finetuned", 1),
        model="beto-cased",
        scores={"accuracy": 0.81},
        params=109853187,
    )
    both = (run, replace(run, seed=1, scores={"accuracy": 0.83}))
    return MatrixTable(
        name="slides",
        published="slides-2023",
        mean="first",
        cells=[
            cell("beto-cased", "XNLI", "xnli_es", ("accuracy",), records=both),
            cell("beto-cased", "MLQA", "mlqa", ("f1", "exact_match")),
            cell("bertin", "XNLI", "xnli_es", ("accuracy",)),
        ],
        deviations=("Two seeds.",),
    )


def test_ours_stand_beside_the_published_scores(table, tmp_path):
    text = write_matrix_report(table, tmp_path / "matrix.md")[0].read_text()
    assert "1 of 3 cells were run" in text
    assert "| beto-cased | 82.00 (81.98) | (67.65 / 43.38) | (74.81) |" in text
    assert "| bertin | (80.50) |  |  |" in text  # no such cell, so no mean
    assert "| beto-cased | +0.02 |  |" in text
    assert "| beto-cased | 109,853,187 (109,853,187) | 1.00x | (74.81) |" in text
    assert "- Two seeds." in text


@pytest.mark.parametrize(
    ("name", "table_of_means"),
    [("albeto-finetuning", "finetuned"), ("speedy-gonzales", "distilled")],
)
def test_the_published_means_come_out_of_the_published_cells(name, table_of_means, tmp_path):
    rows = report_matrix(read_matrix(str(FOLDER / f"{name}.toml")), out=str(tmp_path / "m.md"))[
        "rows"
    ]
    known = {model: cost.get("mean_score", {}) for model, cost in reference.costs().items()}
    assert len(rows) in (11, 6)
    for row in rows:
        mean = float(row["mean"].strip("()"))
        assert mean == pytest.approx(known[row["model"]][table_of_means], abs=0.011), row["model"]
    assert ("Chosen cells" in (tmp_path / "m.md").read_text()) == (name == "speedy-gonzales")


def test_the_memorias_table_shows_its_times(tmp_path):
    report_matrix(read_matrix(str(FOLDER / "glues.toml")), out=str(tmp_path / "m.md"))
    text = (tmp_path / "m.md").read_text()
    assert "(201,187)" in text  # ALBETO large on XNLI
    assert "| albeto-base-v2 | (78.46) |" in text
    assert "(77.03) |" in text  # the mean of base v1
