from __future__ import annotations

import json
from pathlib import Path

import pytest

from destila import records
from destila.commands import report
from destila.errors import ConfigError, DataError
from tests.fixtures.toy_records import toy_record as record


def test_a_folder_gets_its_report_beside_the_records(tmp_path):
    records.write_records(
        tmp_path / "toy" / "record.jsonl", [record("distilled", 4), record("finetuned", 1)]
    )
    result = report.run(report.Config(study=str(tmp_path / "toy")))
    text = (tmp_path / "toy" / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# toy\n")
    assert "| tiny | gain | 100.00 | 25.00 |" in text
    assert result["report"] == str(tmp_path / "toy" / "report.md")
    assert [row["role"] for row in result["rows"]] == ["distilled", "finetuned"]


def test_a_file_of_records_gets_its_report_in_reports(tmp_path, monkeypatch):
    """Never beside the file, which may lie in a tracked folder."""
    monkeypatch.chdir(tmp_path)
    records.write_records("results/toy.jsonl", [record("distilled", 3)])
    report.run(report.Config(study="results/toy.jsonl"))
    assert (tmp_path / "reports" / "toy.md").exists()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["toy.jsonl"]


def test_the_result_can_be_printed_as_json(tmp_path):
    records.write_records(tmp_path / "toy.jsonl", [record("distilled", 3), record("baseline", 4)])
    result = report.run(
        report.Config(study=str(tmp_path / "toy.jsonl"), out=str(tmp_path / "deep" / "r.md"))
    )
    first, _, third, *_ = json.loads(json.dumps(result))["lines"]
    assert "has no twin without a teacher to be compared with" in first
    assert third.startswith("The baseline wins: ")
    assert (tmp_path / "deep" / "r.md").exists()


@pytest.mark.parametrize("place", ["runs/toy/record.jsonl", "results/toy.jsonl"])
def test_a_study_is_found_by_its_name(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    records.write_records(place, [record("distilled", 3)])
    assert report.run(report.Config(study="toy"))["study"] == "toy"


def test_an_unknown_study_is_an_error_naming_the_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no study 'toy'.*runs/toy.*results/toy\.jsonl"):
        report.run(report.Config(study="toy"))


def test_a_study_without_records_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="has no records yet"):
        report.run(report.Config(study=str(tmp_path)))


def test_a_damaged_record_is_an_error_with_its_place(tmp_path):
    (tmp_path / "toy.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"toy\.jsonl:1 lacks"):
        report.run(report.Config(study=str(tmp_path / "toy.jsonl")))


def test_the_page_lies_beside_the_markdown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records.write_records(tmp_path / "toy.jsonl", [record("distilled", 3)])
    for asked, name in ((None, "reports/toy"), ("deep/r.md", "deep/r"), ("deep/s.html", "deep/s")):
        out = str(tmp_path / asked) if asked else None
        result = report.run(report.Config(study=str(tmp_path / "toy.jsonl"), out=out))
        assert (result["report"], result["page"]) == (
            str(Path(out or f"{name}.md").with_suffix(".md")),
            str(Path(out or f"{name}.md").with_suffix(".html")),
        )
        assert (tmp_path / f"{name}.md").read_text(encoding="utf-8").startswith("# toy\n")
        assert "<h1>toy</h1>" in (tmp_path / f"{name}.html").read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_one_error(tmp_path):
    records.write_records(tmp_path / "toy.jsonl", [record("distilled", 3)])
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"cannot write .*file/r\.md.*--out"):
        report.run(
            report.Config(study=str(tmp_path / "toy.jsonl"), out=str(tmp_path / "file" / "r.md"))
        )


def test_a_folder_of_pretrainings_gets_their_report(tmp_path):
    step = {"step": 10, "tokens": 1000, "seconds": 2.0}
    log = tmp_path / "pre" / "one" / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(
        json.dumps({**step, "evaluation": {"mlm_loss": 5.0, "order_gain": 0.5}}) + "\n",
        encoding="utf-8",
    )
    found = report.run(report.Config(study=str(tmp_path / "pre"), out=str(tmp_path / "out.md")))
    assert found["rows"] == [
        {
            "run": "one",
            "steps": 10,
            "tokens": 1000,
            "seconds": 2.0,
            "mlm_loss": 5.0,
            "order_gain": 0.5,
        }
    ]
    assert found["report"] == str(tmp_path / "out.md")
    assert "one: reads word order" in found["lines"][0]
    assert "| one | 10 |" in (tmp_path / "out.md").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="--against compares students"):
        report.run(report.Config(study=str(tmp_path / "pre"), against="one"))
