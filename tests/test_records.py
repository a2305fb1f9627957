"""Records: JSON lines that only grow, and what is no record."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from destila import records
from destila.errors import ConfigError, DataError
from destila.records import Conditions, Latency, Record
from tests.report.conftest import conditions_fixture, latency_fixture, record_fixture  # noqa: F401


def test_a_record_survives_the_round_trip(tmp_path, record):
    made = record(details={"per_label": {"a": {"f1": 0.5}}, "ñ": "¿sí?"})
    records.write_records(tmp_path / "r.jsonl", [made])
    assert records.read_records(tmp_path / "r.jsonl") == [made]


def test_a_place_that_cannot_hold_records_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError,
        match=r"records cannot be kept in .*file/x \(Not a directory\): give another folder",
    ):
        records.check_record_path(tmp_path / "file" / "x" / "r.jsonl")
    records.check_record_path(tmp_path / "new" / "r.jsonl")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="File name too long"):
        records.check_record_path(tmp_path / ("a" * 300) / "r.jsonl")


def test_numpy_numbers_are_written_as_numbers(tmp_path, record):
    records.write_records(
        tmp_path / "r.jsonl", [record(details={"x": np.float32(0.5), "y": np.arange(2)})]
    )
    assert records.read_records(tmp_path / "r.jsonl")[0].details == {"x": 0.5, "y": [0, 1]}


def test_a_record_without_conditions_cannot_be_constructed(record):
    fields = {
        name: getattr(record(), name)
        for name in Record.__dataclass_fields__
        if name != "conditions"
    }
    with pytest.raises(TypeError, match="conditions"):
        Record(**fields)


def test_a_latency_without_conditions_cannot_be_constructed():
    with pytest.raises(TypeError, match="conditions"):
        Latency("real", 1.0, 2.0)


def test_conditions_without_threads_cannot_be_constructed(conditions):
    fields = {
        n: getattr(conditions(), n) for n in Conditions.__dataclass_fields__ if n != "threads"
    }
    with pytest.raises(TypeError, match="threads"):
        Conditions(**fields)


@pytest.mark.parametrize(
    "path", [("conditions",), ("conditions", "threads"), ("latency", 0, "conditions"), ("scores",)]
)
def test_a_line_that_lacks_a_field_is_named(tmp_path, record, path):
    data = records.record_to_json(record())
    inner = data
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    (tmp_path / "r.jsonl").write_text(json.dumps(data) + "\n")
    with pytest.raises(DataError, match=rf"r.jsonl:1.*lacks.*{path[-1]}"):
        records.read_records(tmp_path / "r.jsonl")


def test_an_unknown_field_is_named(record):
    with pytest.raises(DataError, match=r"has unknown .*colour"):
        records.record_from_json({**records.record_to_json(record()), "colour": 1})


def test_a_damaged_line_is_an_error_with_its_number(tmp_path, record):
    (tmp_path / "r.jsonl").write_text(records.record_line(record()) + '\n{"key": "x"\n')
    with pytest.raises(DataError, match=r"r.jsonl:2 is not a JSON object"):
        records.read_records(tmp_path / "r.jsonl")


def test_a_number_that_is_not_finite_is_refused(record):
    with pytest.raises(DataError, match="not finite"):
        records.record_line(record(scores={"accuracy": float("nan")}))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no records at"):
        records.read_records(tmp_path / "none.jsonl")


def test_a_study_folder_holds_the_records_of_its_runs(tmp_path, record):
    for name in ("a", "b"):
        records.write_records(tmp_path / name / "record.jsonl", [record(model=name)])
    assert [r.model for r in records.read_records(tmp_path)] == ["a", "b"]


def test_the_last_line_with_a_key_counts(tmp_path, record):
    records.append_record(tmp_path / "r.jsonl", record(right=1))
    records.append_record(tmp_path / "r.jsonl", record(right=9))
    assert [r.scores["accuracy"] for r in records.read_records(tmp_path / "r.jsonl")] == [0.9]


def test_appending_repairs_a_missing_end_of_line(tmp_path, record):
    (tmp_path / "r.jsonl").write_text(records.record_line(record(model="a")))
    records.append_record(tmp_path / "r.jsonl", record(model="b"))
    assert [r.model for r in records.read_records(tmp_path / "r.jsonl")] == ["a", "b"]


def test_a_full_disk_leaves_the_old_file(tmp_path, record, monkeypatch):
    records.append_record(tmp_path / "r.jsonl", record())

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        records.append_record(tmp_path / "r.jsonl", record(model="b"))
    monkeypatch.undo()
    assert [r.model for r in records.read_records(tmp_path / "r.jsonl")] == ["tiny"]
    assert [f.name for f in tmp_path.iterdir()] == ["r.jsonl"]


APPENDER = """
import sys, dataclasses
from destila import records
path, template, name = sys.argv[1:]
made = records.read_records(template)[0]
for i in range(10):
    records.append_record(path, dataclasses.replace(made, key=f"{name}-{i}"))
"""


def test_two_processes_may_append_to_one_file(tmp_path, record):
    records.write_records(tmp_path / "template.jsonl", [record()])
    command = [sys.executable, "-c", APPENDER, tmp_path / "r.jsonl", tmp_path / "template.jsonl"]
    started = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [process.wait() for process in started] == [0, 0]
    assert len(records.read_records(tmp_path / "r.jsonl")) == 20
