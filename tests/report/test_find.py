"""Where a study lies on disk."""

from __future__ import annotations

from destila import records
from destila.report.find import find_study
from tests.fixtures.toy_records import toy_record as record


def test_records_kept_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records.write_records("kept/toy.jsonl", [record("distilled", 3)])
    (tmp_path / "runs" / "toy" / "students").mkdir(parents=True)
    (tmp_path / "runs" / "toy" / "recipe.toml").write_text('name = "toy"\nresults = "kept"\n')
    study = find_study("toy")
    assert (str(study.source), str(study.folder), len(study.records)) == (
        "kept/toy.jsonl",
        "runs/toy",
        1,
    )


def test_exported_models_belong_to_the_study(tmp_path):
    records.write_records(tmp_path / "toy.jsonl", [record("distilled", 3)])
    records.write_records(
        tmp_path / "runs" / "exported" / "tiny" / "record.jsonl", [record("exported", 2)]
    )
    study = find_study(str(tmp_path / "toy.jsonl"), tmp_path / "runs")
    assert [r.role for r in study.records] == ["distilled", "exported"]
